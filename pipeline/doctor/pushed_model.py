"""Whether the pushed model is whole, where it comes from, and the files beside it."""

from collections.abc import Iterator
from pathlib import Path

from core.errors import DexmatchError
from pipeline.doctor.check import Check, of_error, ok, problem, warning
from pipeline.doctor.subject import Subject
from results import versions
from results.versions import Version
from serving import files

_REPLACE = "push it again by `dexmatch run`, or serve the one before: dexmatch rollback"
_SHOWN = 3


def checks(subject: Subject) -> Iterator[Check]:
    """See the module."""
    base = subject.workspace.serving
    if subject.served is None:
        yield ok("model", f"none was pushed yet to {base}", version=None)
    else:
        yield _model(subject, subject.served)
        yield _provenance(subject, subject.served)
        yield _history(base, len(subject.versions))
    yield from _files(base.parent)


def _model(subject: Subject, version: Version) -> Check:
    """Whether a server could load it."""
    found = subject.tensorflow.model
    facts = {"version": str(version.number), "path": str(version.path)}
    if found is None:
        told = f"{version.path} was not looked into: TensorFlow cannot be loaded"
        return warning("model", told, "see the installation", **facts)
    faults = found["faults"]
    if faults:
        more = f" and {len(faults) - _SHOWN} more faults" if len(faults) > _SHOWN else ""
        told = f"{version.path}: {'; '.join(faults[:_SHOWN])}{more}"
        return problem("model", told, _REPLACE, **facts, **found)
    parts = (
        f"version {version.number}: {len(found['signatures'])} signatures",
        f"{found['variables']:,} variables",
        f"{version.size / 1e6:,.1f} MB",
    )
    if found["warm_up"] is None:
        told = f"{', '.join(parts)}, no warm-up requests"
        return warning("model", told, "its first answers take seconds", **facts, **found)
    told = f"{', '.join(parts)}, {found['warm_up']} warm-up requests"
    return ok("model", told, **facts, **found)


def _provenance(subject: Subject, version: Version) -> Check:
    """Which run of the workspace it comes from."""
    name = "provenance"
    if subject.metadata is None:
        told = "the workspace's database cannot be read"
        return warning(name, told, "see the workspace", run=None)
    for number, run in enumerate(subject.metadata.runs(), 1):
        if run.pushed_version == str(version.number):
            data = run.dataset.name if run.dataset else "unknown data"
            return ok(name, f"pushed by run {number} ({run.id}) on {data}", run=run.id)
    told = f"no run in {subject.workspace.root} has pushed version {version.number}"
    return warning(name, told, "look for the workspace it comes from (run.workspace)", run=None)


def _history(base: Path, count: int) -> Check:
    try:
        lines = versions.rollbacks(base)
    except DexmatchError as error:
        return of_error("versions", error)
    back = f", {len(lines)} rollbacks" if lines else ""
    return ok("versions", f"{count} in {base}{back}", versions=count, rollbacks=len(lines))


def _files(folder: Path) -> Iterator[Check]:
    """The files that model servers read."""
    readers = (
        (files.MODELS, files.read_models),
        (files.BATCHING, files.read_batching),
        (files.MONITORING, files.read_monitoring),
    )
    found = []
    for name, read in readers:
        path = folder / name
        if not path.is_file():
            continue
        try:
            read(path)
            found.append(name)
        except DexmatchError as error:
            yield of_error(name, error, "mend it, or take the one that comes with dexmatch")
    if found:
        yield ok("server files", f"{', '.join(found)} can be read", files=found)

"""Whether the workspace is whole: the artifacts, the links, and whether a run is at work."""

from collections.abc import Iterator

from pipeline.doctor.check import Check, ok, problem, warning
from pipeline.doctor.subject import Subject
from results import links
from results.metadata import Metadata
from results.workspace import Workspace

_SHOWN = 3


def checks(subject: Subject) -> Iterator[Check]:
    """See the module."""
    workspace = subject.workspace
    if not workspace.root.is_dir():
        yield ok("runs", f"none yet in {workspace.root}", runs=0)
        return
    yield _lock(workspace)
    yield subject.database
    if subject.metadata is not None:
        yield _runs(subject.metadata, workspace)
        yield _artifacts(subject.metadata)
    yield _links(workspace)


def _lock(workspace: Workspace) -> Check:
    if workspace.is_locked():
        return ok("lock", f"a run is at work in {workspace.root}", is_locked=True)
    return ok("lock", "no run is at work", is_locked=False)


def _runs(metadata: Metadata, workspace: Workspace) -> Check:
    runs = metadata.runs()
    if not runs:
        return ok("runs", f"none yet in {workspace.root}", runs=0)
    started = runs[-1].started.isoformat(" ", "minutes")
    return ok("runs", f"{len(runs):,} in {workspace.root}, the latest of {started}", runs=len(runs))


def _artifacts(metadata: Metadata) -> Check:
    """Whether all is there that a run would take from the cache."""
    live, gone = metadata.live_artifacts()
    places = [f"artifacts{each.uri.rpartition('/artifacts')[2]}" for each in gone]
    facts = {"live": live, "missing": places}
    if not gone:
        return ok("artifacts", f"all {live:,} are there", **facts)
    more = f" and {len(gone) - _SHOWN:,} more" if len(gone) > _SHOWN else ""
    return warning(
        "artifacts",
        f"{len(gone):,} of {live:,} are gone: {', '.join(places[:_SHOWN])}{more}",
        "what the next run needs of them it makes anew; reports on earlier runs lack them",
        **facts,
    )


def _links(workspace: Workspace) -> Check:
    folder = workspace.root / links.FOLDER
    every = sorted(folder.iterdir()) if folder.is_dir() else []
    copies = [each for each in every if not each.is_symlink()]
    if copies:
        found = f"{copies[0]}: must be a link, and is a copy"
        return problem("links", found, "remove it; copy workspaces with cp -a", links=len(every))
    broken = [each for each in every if not each.exists()]
    if broken:
        return warning(
            "links",
            f"{broken[0]} leads to {links.followed(broken[0])}, which is gone",
            "name the place where it is now, as by --data; the next run makes the link anew",
            links=len(every),
        )
    return ok("links", f"all {len(every):,} lead somewhere", links=len(every))

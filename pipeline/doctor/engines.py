"""Model servers that can be started, and Beam's runners."""

import importlib.util
import shutil
from collections.abc import Iterator

from pipeline.doctor.check import Check, ok, problem
from pipeline.doctor.subject import Subject
from serving import engines

_OF_JAVA = ("FlinkRunner", "SparkRunner")
_OF_GOOGLE = ("DataflowRunner",)


def checks(subject: Subject) -> Iterator[Check]:
    """See the module."""
    yield _model_servers(subject)
    yield _runners()


def _model_servers(subject: Subject) -> Check:
    """Which the configuration chooses, and which others are not there."""
    asked = subject.settings.serving.engine
    missing = engines.missing()
    reasons = [told.partition(";")[0] for told in missing.values() if told]
    available = [name for name, told in missing.items() if not told]
    chosen = available[0] if asked == "auto" else asked
    if told := missing[chosen]:
        found, _, advice = told.partition("; ")
        return problem("model server", found, advice, available=available)
    rest = f"; {'; '.join(reasons)}" if reasons else ""
    found = f"{chosen} for serving.engine = {asked}{rest}"
    return ok("model server", found, available=available)


def _runners() -> Check:
    if importlib.util.find_spec("apache_beam") is None:
        return problem("Beam runners", "apache-beam is not installed", "make setup installs it")
    there = ["DirectRunner (in_memory, multi_processing)"]
    without = []
    for runners, is_there, needs in (
        (_OF_JAVA, bool(shutil.which("java")), "Java, which is not on the PATH"),
        (
            _OF_GOOGLE,
            importlib.util.find_spec("apitools") is not None,
            "apache-beam[gcp], which is not installed",
        ),
    ):
        if is_there:
            there += runners
        else:
            without.append(f"; {' and '.join(runners)} would need {needs}")
    return ok("Beam runners", ", ".join(there) + "".join(without), available=there)

"""What `dexmatch doctor` looks at: the installation, the machine, the data, the models.

Nothing is changed: files are opened to be read, and what might never answer has a time limit.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module

from core.errors import DexmatchError
from pipeline.doctor.check import Check, of_error, one_line, problem
from pipeline.doctor.subject import Subject

__all__ = ["TOPICS", "Check", "Subject", "examine"]

TOPICS = {
    "installation": "pipeline.doctor.installation",
    "machine": "pipeline.doctor.machine",
    "servers and runners": "pipeline.doctor.engines",
    "ports": "pipeline.doctor.ports",
    "data": "pipeline.doctor.data_sets",
    "workspace": "pipeline.doctor.workspace",
    "pushed model": "pipeline.doctor.pushed_model",
}
"""What the checks are about, in their order, and the module that has them. They are imported one by
one: a package that is broken takes its own topic's checks away, and no others."""


def examine(subject: Subject) -> Iterator[tuple[str, Check]]:
    """Goes through all checks.

    Args:
      subject: what they look at.

    Yields:
      The topic and the check. What cannot be looked at is a problem too; nothing is raised.
    """
    for topic, module in TOPICS.items():
        for check in _guarded(topic, module, subject):
            yield topic, check


def _guarded(topic: str, module: str, subject: Subject) -> Iterator[Check]:
    try:
        checks: Callable[[Subject], Iterable[Check]] = import_module(module).checks
        yield from checks(subject)
    except DexmatchError as error:
        yield of_error(topic, error)
    except Exception as error:
        yield problem(
            topic,
            f"cannot be looked at: {one_line(error)}",
            "if that says nothing to you, put this table into an issue",
        )

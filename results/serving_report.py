"""What ServingValidator found: the checks, and their way through a file.

It imports nothing heavy, so that the command line can print it at once.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "report.json"
"""In the folder of the `InfraBlessing`."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
      name: what, such as "answers over REST".
      passed: whether it is as it must be.
      found: one line, for people.
    """

    name: str
    passed: bool
    found: str


@dataclass(frozen=True)
class ServingReport:
    """How a candidate did on a model server.

    Attributes:
      engine: the model server; empty if none was started.
      checks: in the order in which they were made.
    """

    engine: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """What is wrong."""
        return tuple(check for check in self.checks if not check.passed)

    def to_json(self) -> str:
        """What `load` reads."""
        return json.dumps(dataclasses.asdict(self), indent=1)


def load(uri: str) -> ServingReport | None:
    """Reads the report beside an `InfraBlessing`; None if another component than ours made it."""
    path = Path(uri) / FILE_NAME
    if not path.is_file():
        return None
    tree = json.loads(path.read_text(encoding="utf-8"))
    return ServingReport(tree["engine"], tuple(Check(**check) for check in tree["checks"]))

"""What a check found."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import DexmatchError


class Status(enum.StrEnum):
    """How it stands with what was looked at, the best first."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
      name: of the thing, in a word or two.
      status: a problem keeps something from working; a warning is good to know.
      found: what is there, in one line.
      advice: what to do, in one line; empty where nothing is to be done.
      facts: the same for scripts: plain values, sizes in bytes.
    """

    name: str
    status: Status
    found: str
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def ok(name: str, found: str, /, **facts: object) -> Check:
    """All is well."""
    return Check(name, Status.OK, found, facts=facts)


def warning(name: str, found: str, advice: str, /, **facts: object) -> Check:
    """Something works, and may not do what is expected."""
    return Check(name, Status.WARNING, found, advice, facts)


def problem(name: str, found: str, advice: str, /, **facts: object) -> Check:
    """Something does not work."""
    return Check(name, Status.PROBLEM, found, advice, facts)


def of_error(name: str, error: DexmatchError, advice: str = "", /, **facts: object) -> Check:
    """A problem that is a user's mistake.

    Args:
      name: of the check.
      error: says after the first semicolon what to do.
      advice: where it does not.
      facts: see `Check`.
    """
    found, _, told = str(error).partition("; ")
    return problem(name, found, told or advice, **facts)


def one_line(error: BaseException) -> str:
    """An exception's type and the first line of what it says."""
    said = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__

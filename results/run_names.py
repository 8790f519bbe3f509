"""Which run a user means: by its number in `dexmatch runs`, counted from the end, or by its id."""

from collections.abc import Sequence

from core.errors import DexmatchError
from results.metadata import Run

HELP = (
    "A run: its number in `dexmatch runs`, -1 for the latest, -2 for the one before it, or its id "
    "or the beginning of it."
)
"""What the help of a command says of its argument."""

_SHOWN = 5


def find(runs: Sequence[Run], name: str | None, needs: str | None = None) -> Run:
    """The run that a name stands for.

    Args:
      runs: all of them, the oldest first, as `Metadata.runs` gives them.
      name: "3" is the third run, "-1" the latest; else an id, or the beginning of one. None for the
        latest that has what is needed.
      needs: an artifact type, such as "ModelEvaluation", without which the run is of no use.

    Raises:
      DexmatchError: no run or several fit, or it has not what is needed; lists the runs.
    """
    if not runs:
        raise DexmatchError("no runs yet; start one: dexmatch run --data DIR")
    if name is None:
        useful = [run for run in runs if _has(run, needs)]
        if not useful:
            raise DexmatchError(f"no run has a {needs} yet; runs: {_listed(runs)}")
        return useful[-1]
    run = _named(runs, name)
    if not _has(run, needs):
        raise DexmatchError(
            f"run {name} has no {needs}: it did not come so far; runs: {_listed(runs)}"
        )
    return run


def _named(runs: Sequence[Run], name: str) -> Run:
    for run in runs:
        if run.id == name:
            return run
    digits = name.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and 1 <= int(digits) <= len(runs):
        return runs[-int(digits)] if name.startswith("-") else runs[int(digits) - 1]
    fitting = [run for run in runs if name and run.id.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    problem = f"{len(fitting)} runs begin so" if fitting else "no such run"
    raise DexmatchError(f"run {name}: {problem}; runs: {_listed(runs)}")


def _has(run: Run, needs: str | None) -> bool:
    return needs is None or run.output(needs) is not None


def _listed(runs: Sequence[Run]) -> str:
    """The latest runs, as they can be named."""
    numbered = list(enumerate(runs, 1))
    shown = [f"{number} ({run.id})" for number, run in reversed(numbered[-_SHOWN:])]
    left = len(runs) - len(shown)
    return ", ".join(shown) + (f" and {left} more (dexmatch runs)" if left else "")

"""The thresholds of the configuration beside what the Evaluator found: slice by slice."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.config import Threshold
from core.metrics import gain
from results.evaluation import Evaluation

HOLDS, MISSED, NOT_JUDGED = "holds", "missed", "not judged"

_WORDS = {
    "min": "at least {:g}",
    "max": "at most {:g}",
    "max_drop": "at most {:g} below the latest blessed model",
    "max_rise": "at most {:g} above the latest blessed model",
}
_HAIR = 1e-6
"""TFMA compares in single precision."""


@dataclass(frozen=True)
class Judged:
    """A bound on one slice.

    Attributes:
      metric: its name.
      slice: the slice's name.
      asked: what is asked for, in words.
      value: what was measured; None if it could not be.
      bound: the figure that the value is held against.
      margin: by how much the bound holds; negative if it is missed, None if it was not judged.
      state: `HOLDS`, `MISSED` or `NOT_JUDGED`.
      reason: why it was not judged; empty if it was.
    """

    metric: str
    slice: str
    asked: str
    value: float | None
    bound: float | None
    margin: float | None
    state: str
    reason: str = ""


def judge(threshold: Threshold, found: Evaluation) -> Iterator[Judged]:
    """A threshold on each slice that it bounds.

    The verdict is TFMA's, which is repeated here for its value, bound and margin.
    """
    unjudged = {(each.metric, each.slice): each.reason for each in found.unjudged}
    missed = {(each.metric, each.slice) for each in found.failures}
    slices = [each for each in found.slices if threshold.is_on(each.parts)]
    if not slices:
        # Most likely a typing error if it is named. There may be no value of a column.
        state = MISSED if threshold.is_on_one_slice else NOT_JUDGED
        asked = ", ".join(_asked(threshold).values())
        yield Judged(
            threshold.metric, threshold.slice, asked, None, None, None, state, "has no pairs"
        )
    for each in slices:
        value = each.figures.get(threshold.metric)
        before = each.baseline.get(threshold.metric)
        key = (threshold.metric, each.name)
        for name, asked in _asked(threshold).items():
            bound = _bound(threshold, name, before)
            reason = unjudged.get(key, "")
            margin = None
            if value is not None and bound is not None:
                margin = gain(threshold.metric, value - bound)
            if bound is None:
                reason = reason or "there is no baseline to compare with"
            if reason:
                state = NOT_JUDGED
            elif margin is None:
                state = MISSED if key in missed else NOT_JUDGED
                reason = "could not be computed"
            else:
                # Where a hair decides, TFMA's word goes.
                is_missed = key in missed if abs(margin) < _HAIR else margin < 0
                state = MISSED if is_missed else HOLDS
            judged = None if reason else margin
            yield Judged(threshold.metric, each.name, asked, value, bound, judged, state, reason)


def _asked(threshold: Threshold) -> dict[str, str]:
    """What a threshold asks for, in words, by the name of the bound."""
    bounds = ((name, getattr(threshold, name)) for name in _WORDS)
    return {name: _WORDS[name].format(bound) for name, bound in bounds if bound is not None}


def _bound(threshold: Threshold, name: str, before: float | None) -> float | None:
    """The figure that the value is held against; None if there is none to compare with.

    Args:
      threshold: the bounds.
      name: of the bound.
      before: the latest blessed model's figure.
    """
    bound: float = getattr(threshold, name)
    if name in ("min", "max"):
        return bound
    if before is None:
        return None
    return before - bound if name == "max_drop" else before + bound

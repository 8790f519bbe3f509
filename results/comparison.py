"""Two runs side by side: figures, slices, configuration, data.

`of` reads the runs' evaluations, with TFMA, so its module is imported late; the rest needs MLMD.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from core.config import Config
from core.metrics import COMPARED, gain
from core.slices import KEY_SLICES, OVERALL
from results.evaluation import Evaluation, SliceFigures
from results.metadata import Run


@dataclass(frozen=True)
class Change:
    """A figure of a slice in two runs.

    Attributes:
      metric: its name.
      before: the slice's figures in the first run.
      after: in the second.
    """

    metric: str
    before: SliceFigures
    after: SliceFigures

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after.figures[self.metric] - self.before.figures[self.metric]

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the difference; see `difference_interval`."""
        return difference_interval(self.metric, self.before, self.after)

    @property
    def is_better(self) -> bool | None:
        """Whether the second is better; see `is_better`."""
        return is_better(self.metric, self.difference)

    @property
    def is_clear(self) -> bool | None:
        """Whether the difference is larger than chance makes it; None where that is not known."""
        return is_clear(self.interval)


def difference_interval(
    metric: str, before: SliceFigures, after: SliceFigures
) -> tuple[float, float] | None:
    """The 95 % confidence interval of after minus before; None where a figure has none itself.

    The evaluations are taken for independent, so that their variances add up. Where they are of the
    same pairs, they are not: both models find the same pairs hard, much of the noise is common, and
    the interval is wider than it had to be. What it calls clear is clear all the more.
    """
    one, other = (_half_width(metric, each) for each in (before, after))
    if one is None or other is None:
        return None
    half = math.hypot(one, other)
    difference = after.figures[metric] - before.figures[metric]
    return difference - half, difference + half


def is_better(metric: str, difference: float) -> bool | None:
    """Whether a change of a figure is one for the better.

    None if there is no change, or if neither more nor less of the metric is better.
    """
    better = gain(metric, difference)
    return better > 0 if better else None


def is_clear(interval: tuple[float, float] | None) -> bool | None:
    """Whether the confidence interval of a difference leaves out zero; None if there is none."""
    return None if interval is None else not interval[0] <= 0 <= interval[1]


def _half_width(metric: str, figures: SliceFigures) -> float | None:
    if metric not in figures.intervals:
        return None
    lower, upper = figures.intervals[metric]
    value = figures.figures[metric]
    # It is symmetric, but cut off where the metric's range ends.
    return max(value - lower, upper - value)


def changes(before: Evaluation, after: Evaluation) -> list[Change]:
    """Each metric that both runs have, on the slices that say most about a model."""
    made = []
    for name in KEY_SLICES:
        one, other = before.slice(name), after.slice(name)
        if one and other:
            made += [
                Change(metric, one, other)
                for metric in COMPARED
                if metric in one.figures and metric in other.figures
            ]
    return made


def most_changed(before: Evaluation, after: Evaluation, metric: str, fewest: int) -> list[Change]:
    """The slices that both runs have, those whose figure changed most first.

    Args:
      metric: such as "auc".
      fewest: slices with fewer pairs in either run are left out.
    """
    shared = []
    for one in before.slices:
        other = after.slice(one.name)
        if other is None or one.name == OVERALL:
            continue
        if min(one.examples, other.examples) < fewest:
            continue
        if not (one.has_both_labels and other.has_both_labels):
            continue
        if metric in one.figures and metric in other.figures:
            shared.append(Change(metric, one, other))
    return sorted(shared, key=lambda change: -abs(change.difference))


def configuration(run: Run) -> dict[str, Any]:
    """What MLMD knows of a run's configuration, as "section.key" to value.

    The ModelCard is told all but where things lie; of a run that did not come so far, only what the
    Trainer was told is known.
    """
    for node, parameter in (("ModelCard", "config"), ("Trainer", "custom_config")):
        execution = run.execution(node)
        if execution and parameter in execution.parameters:
            tree = json.loads(execution.parameters[parameter])
            return {
                f"{section}.{key}": value
                for section, values in tree.items()
                if section in Config.model_fields
                for key, value in values.items()
            }
    return {}


def configuration_changes(before: Run, after: Run) -> dict[str, tuple[Any, Any]]:
    """Keys of the configuration that differ, to both values; None where a run does not tell.

    Keys that only one run tells are left out if the other tells of the training only.
    """
    one, other = configuration(before), configuration(after)
    partly = not (before.execution("ModelCard") and after.execution("ModelCard"))
    keys = one.keys() & other.keys() if partly else one.keys() | other.keys()
    return {
        key: (one.get(key), other.get(key))
        for key in sorted(keys)
        if one.get(key) != other.get(key)
    }


def is_same_data(before: Run, after: Run) -> bool | None:
    """Whether both read the very same files; None where MLMD does not tell."""
    prints = [
        execution.parameters.get("input_fingerprint") if execution else None
        for execution in (run.execution("ImportExampleGen") for run in (before, after))
    ]
    return prints[0] == prints[1] if all(prints) else None

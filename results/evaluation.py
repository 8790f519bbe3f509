"""The Evaluator's findings as plain figures: per slice, and per threshold."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import metrics_for_slice_pb2, validation_result_pb2

from core.errors import DexmatchError
from core.files import plain_name
from core.metrics import AUC, EXAMPLE_COUNT, MEAN_LABEL, METRICS
from core.slices import OVERALL, is_by_metadata, slice_name
from results.metadata import Run

UNJUDGED_FILE = "unjudged.json"
"""In the `ModelEvaluation` artifact: the bounds that were set aside, a list of `Unjudged` as
objects."""


@dataclass(frozen=True)
class SliceFigures:
    """The figures of one slice.

    Attributes:
      name: "overall", "column:value", or several of these joined by " × ".
      figures: metric name to value; a metric that the slice has no value for is left out.
      intervals: metric name to the bounds of its 95 % confidence interval, where there is one. They
        come from a t-distribution and may leave the range of the metric. The pairs are resampled
        one by one, though pairs with the same picture are alike, so they are rather too narrow.
      baseline: the same figures of the latest blessed model; empty if there is none.
      changes: the 95 % confidence intervals of the figures' differences from the baseline's, where
        there are any.
      parts: (column, value) pairs that make the slice; none for overall.
    """

    name: str
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    baseline: dict[str, float] = field(default_factory=dict)
    changes: dict[str, tuple[float, float]] = field(default_factory=dict)
    parts: tuple[tuple[str, str], ...] = ()

    @property
    def examples(self) -> int:
        """Number of pairs."""
        return int(self.figures[EXAMPLE_COUNT])

    @property
    def has_both_labels(self) -> bool:
        """Whether there are true and wrong pairs, without which no ranking can be judged."""
        return 0 < self.figures.get(MEAN_LABEL, 0) < 1

    def shown(self, metric: str, *, interval: bool = True) -> str:
        """A figure for people, "0.931±0.020" with half the width of its interval, "-" if it has
        none."""
        value = self.figures.get(metric)
        if value is None:
            return "-"
        if interval and metric in self.intervals:
            lower, upper = self.intervals[metric]
            return f"{value:.3f}±{(upper - lower) / 2:.3f}"
        return f"{value:.3f}"


@dataclass(frozen=True)
class Failure:
    """A threshold that was missed.

    Attributes:
      metric: its name.
      slice: the slice's name.
      reason: value, bound, and baseline where it is a bound on change, or what is missing, in
        words.
    """

    metric: str
    slice: str
    reason: str


@dataclass(frozen=True)
class Unjudged:
    """A bound that a slice is too small for.

    Attributes:
      metric: its name.
      slice: the slice's name.
      pairs: number of pairs in it.
      reason: why it is not judged, in words.
      is_named: whether the bound names this slice, and not every value of a column.
    """

    metric: str
    slice: str
    pairs: int
    reason: str
    is_named: bool

    def as_dict(self) -> dict[str, Any]:
        """What `Unjudged(**...)` takes."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """What the Evaluator found.

    Attributes:
      slices: overall first, then by name.
      failures: the thresholds that keep the model from being blessed; none if it is blessed.
      unjudged: the thresholds that were set aside, because their slice is too small.
    """

    slices: tuple[SliceFigures, ...]
    failures: tuple[Failure, ...]
    unjudged: tuple[Unjudged, ...] = ()

    def slice(self, name: str) -> SliceFigures | None:
        """A slice by its name."""
        return next((each for each in self.slices if each.name == name), None)

    def worst(self, fewest: int) -> SliceFigures | None:
        """The metadata slice with the lowest AUC among those with enough pairs of both labels.

        Args:
          fewest: how many are enough; fewer say more about chance than about the model.
        """
        judged = [
            each
            for each in self.slices
            if is_by_metadata(column for column, _ in each.parts)
            and each.examples >= fewest
            and AUC in each.figures
            and each.has_both_labels
        ]
        return min(judged, key=lambda each: each.figures[AUC], default=None)


def of_run(run: Run) -> Evaluation:
    """What the Evaluator found in a run.

    Raises:
      DexmatchError: the run was not evaluated, or the files are gone.
    """
    output = run.output("ModelEvaluation")
    if output is None or not Path(output.uri).is_dir():
        where = f": {output.uri} is gone" if output else ""
        raise DexmatchError(f"run {run.id} has no evaluation{where}; runs: dexmatch runs")
    return load(output.uri)


def figure_names(slices: Iterable[SliceFigures]) -> list[str]:
    """The metrics to show of those that any slice has a value for.

    They are in the order of `core.metrics`; what it does not know comes last, by name.
    """
    found = {name for each in slices for name in each.figures}
    known = [name for name, metric in METRICS.items() if name in found and metric.in_tables]
    return known + sorted(found.difference(METRICS))


def check_metric(evaluation: Evaluation, metric: str) -> None:
    """Refuses what `--sort` was given if it is no figure.

    Raises:
      DexmatchError: no slice has it; names those that there are.
    """
    known = sorted({name for each in evaluation.slices for name in each.figures})
    if metric not in known:
        raise DexmatchError(f"--sort {metric}: no such figure; there are: {', '.join(known)}")


def load(uri: str) -> Evaluation:
    """Reads a `ModelEvaluation` artifact.

    Args:
      uri: its folder.
    """
    with plain_name(uri) as name:
        measured = list(tfma.load_metrics(name))
        validation = tfma.load_validation_result(name)
    slices = sorted(
        (_figures(metrics) for metrics in measured),
        key=lambda each: (each.name != OVERALL, each.name),
    )
    by_name = {each.name: each for each in slices}
    missed = [
        _failure(failure, by_name[_slice_name(judged.slice_key)])
        for judged in validation.metric_validations_per_slice
        for failure in judged.failures
    ]
    missed += [
        Failure("every metric", _missing_name(spec), "is bounded, but the slice has no pairs")
        for spec in validation.missing_slices
    ]
    return Evaluation(tuple(slices), tuple(missed), tuple(_unjudged(uri)))


def _figures(metrics: metrics_for_slice_pb2.MetricsForSlice) -> SliceFigures:
    values = [each for each in metrics.metric_keys_and_values if not each.key.is_diff]
    own = [each for each in values if each.key.model_name != tfma.BASELINE_KEY]
    return SliceFigures(
        name=_slice_name(metrics.slice_key),
        figures=dict(_numbers(own)),
        intervals={
            name: _within_range(name, lower, upper) for name, (lower, upper) in _intervals(own)
        },
        baseline=dict(
            _numbers(each for each in values if each.key.model_name == tfma.BASELINE_KEY)
        ),
        changes=dict(
            _intervals(each for each in metrics.metric_keys_and_values if each.key.is_diff)
        ),
        parts=tuple((column, str(value)) for column, value in _parts(metrics.slice_key)),
    )


def _numbers(values: Iterable[Any]) -> Iterator[tuple[str, float]]:
    for each in values:
        # What is not defined, such as a recall without positives, is NaN.
        if each.value.HasField("double_value") and math.isfinite(each.value.double_value.value):
            yield each.key.name, each.value.double_value.value


def _intervals(values: Iterable[Any]) -> Iterator[tuple[str, tuple[float, float]]]:
    for each in values:
        if each.HasField("confidence_interval") and each.value.HasField("double_value"):
            bounds = each.confidence_interval
            lower = bounds.lower_bound.double_value.value
            upper = bounds.upper_bound.double_value.value
            if math.isfinite(lower) and math.isfinite(upper):
                yield each.key.name, (lower, upper)


def _within_range(name: str, lower: float, upper: float) -> tuple[float, float]:
    # The jackknife's interval is symmetric, and leaves the range of a metric near its end.
    metric = METRICS.get(name)
    return (max(lower, metric.lower), min(upper, metric.upper)) if metric else (lower, upper)


def _unjudged(uri: str) -> Iterator[Unjudged]:
    path = Path(uri) / UNJUDGED_FILE
    # Evaluations of older releases have none.
    if path.exists():
        for each in json.loads(path.read_text(encoding="utf-8")):
            yield Unjudged(**each)


def _slice_name(key: metrics_for_slice_pb2.SliceKey) -> str:
    return slice_name(_parts(key))


def _parts(key: metrics_for_slice_pb2.SliceKey) -> Iterator[tuple[str, Any]]:
    for part in key.single_slice_keys:
        yield part.column, _text(getattr(part, part.WhichOneof("kind")))


def _missing_name(spec: Any) -> str:
    return slice_name(sorted(spec.feature_values.items()))


def _failure(failure: validation_result_pb2.ValidationFailure, figures: SliceFigures) -> Failure:
    name = failure.metric_key.name
    return Failure(name, figures.name, _miss(failure, figures))


def _miss(failure: validation_result_pb2.ValidationFailure, figures: SliceFigures) -> str:
    """What a ValidationFailure says: the value beside its bound."""
    name = failure.metric_key.name
    bound = failure.metric_threshold
    value = figures.figures.get(name)
    baseline = figures.baseline.get(name)
    if value is None:
        return failure.message.strip() or "could not be computed"
    if bound.HasField("change_threshold"):
        if baseline is None:
            return f"is {value:.4f}, and could not be computed for the latest blessed model"
        allowed = bound.change_threshold.absolute.value
        return (
            f"is {value:.4f}, the latest blessed model's is {baseline:.4f}: changed by "
            f"{value - baseline:+.4f}, allowed {allowed:+.4f}"
        )
    if bound.value_threshold.HasField("upper_bound"):
        return f"is {value:.4f}, must be at most {bound.value_threshold.upper_bound.value:.4f}"
    return f"is {value:.4f}, must be at least {bound.value_threshold.lower_bound.value:.4f}"


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

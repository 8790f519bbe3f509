"""The Evaluator's findings as plain figures: per slice, and per threshold."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow_model_analysis as tfma

from modules.features import AGAINST, OVERALL, PAIR_KIND

MIN_WORST_EXAMPLES = 30
"""A slice with fewer pairs than this says more about chance than about the model."""


@dataclass(frozen=True)
class SliceFigures:
    """The figures of one slice.

    Attributes:
      name: "overall" or "column:value".
      figures: metric name to value; a metric that the slice has no value for is left out.
    """

    name: str
    figures: dict[str, float]

    @property
    def examples(self) -> int:
        """Number of pairs."""
        return int(self.figures["example_count"])


@dataclass(frozen=True)
class Failure:
    """A threshold that was missed.

    Attributes:
      metric: its name.
      slice: "overall" or "column:value".
      reason: value and bound, or what is missing, in words.
    """

    metric: str
    slice: str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """What the Evaluator found.

    Attributes:
      slices: overall first, then by name.
      failures: the thresholds that keep the model from being blessed; none if it is blessed.
    """

    slices: tuple[SliceFigures, ...]
    failures: tuple[Failure, ...]

    def slice(self, name: str) -> SliceFigures | None:
        """A slice by its name."""
        return next((each for each in self.slices if each.name == name), None)

    def worst(self) -> SliceFigures | None:
        """The metadata slice with the lowest AUC among those with enough pairs of both labels."""
        judged = [
            each
            for each in self.slices
            if each.name != OVERALL
            and not each.name.startswith((f"{AGAINST}:", f"{PAIR_KIND}:"))
            and each.examples >= MIN_WORST_EXAMPLES
            and "auc" in each.figures
            and 0 < each.figures.get("mean_label", 0) < 1
        ]
        return min(judged, key=lambda each: each.figures["auc"], default=None)


def load(uri: str) -> Evaluation:
    """Reads a `ModelEvaluation` artifact.

    Args:
      uri: its folder.
    """
    slices = [
        SliceFigures(_slice_name(key), dict(_numbers(metrics[""][""])))
        for key, metrics in tfma.load_eval_result(uri).slicing_metrics
    ]
    slices.sort(key=lambda each: (each.name != OVERALL, each.name))
    validation = tfma.load_validation_result(uri)
    missed = [
        Failure(failure.metric_key.name, _slice_name(_slice_key(judged.slice_key)), _miss(failure))
        for judged in validation.metric_validations_per_slice
        for failure in judged.failures
    ]
    missed += [
        Failure("every metric", _missing_name(spec), "is bounded, but the slice has no pairs")
        for spec in validation.missing_slices
    ]
    return Evaluation(tuple(slices), tuple(missed))


def _numbers(metrics: dict[str, dict[str, Any]]) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        number = value.get("doubleValue")
        # TFMA writes what is not defined, such as a recall without positives, as "NaN".
        if number is not None and math.isfinite(float(number)):
            yield name, float(number)


def _slice_name(key: tuple) -> str:
    return " × ".join(f"{column}:{value}" for column, value in key) or OVERALL


def _slice_key(key: Any) -> tuple:
    return tuple(
        (part.column, _text(getattr(part, part.WhichOneof("kind"))))
        for part in key.single_slice_keys
    )


def _missing_name(spec: Any) -> str:
    return _slice_name(tuple(spec.feature_values.items()))


def _miss(failure: Any) -> str:
    """What a ValidationFailure says: the value beside its bound."""
    value = failure.metric_value.double_value.value
    bound = failure.metric_threshold
    if bound.HasField("change_threshold"):
        allowed = bound.change_threshold.absolute.value
        return f"changed by {value:+.4f} against the latest blessed model, allowed {allowed:+.4f}"
    if bound.HasField("value_threshold"):
        return f"is {value:.4f}, must be at least {bound.value_threshold.lower_bound.value:.4f}"
    return failure.message or "could not be computed"


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

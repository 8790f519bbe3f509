"""Which bounds of an EvalConfig can be judged on the pairs at hand: pure functions over protos."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib as slicer

from core.slices import slice_name
from results.evaluation import Unjudged

SliceKey = tuple[tuple[str, Any], ...]
"""(column, value) pairs in the order of the columns, as TFMA makes them; () is the whole split."""

# Undefined without pairs of both labels, and without true pairs.
_NEEDS_BOTH = ("auc", "auc_pr")
_NEEDS_TRUE = (*_NEEDS_BOTH, "precision", "recall")


class Count(NamedTuple):
    """Pairs of a slice, by label."""

    true: int
    wrong: int

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.true + self.wrong


def resolve(
    config: config_pb2.EvalConfig, counts: Mapping[SliceKey, Count], min_pairs: int
) -> tuple[config_pb2.EvalConfig, list[Unjudged]]:
    """Turns bounds on every value of a column into bounds on each slice that is large enough.

    The whole split is judged whatever its size. A bound that names a slice without any pairs stays:
    TFMA reports it as missing, since it is most likely a typing error.

    Args:
      config: with bounds in the metrics' `per_slice_thresholds`.
      counts: pairs of every slice that the config's slicing specs make.
      min_pairs: a slice with fewer is not judged.

    Returns:
      The config with the bounds that are left, and those that were taken out.
    """
    resolved = config_pb2.EvalConfig()
    resolved.CopyFrom(config)
    unjudged = []
    for metrics in resolved.metrics_specs:
        for metric in metrics.metrics:
            found = list(_split(metric, counts, min_pairs))
            del metric.per_slice_thresholds[:]
            metric.per_slice_thresholds.extend(
                each for each in found if not isinstance(each, Unjudged)
            )
            unjudged += [each for each in found if isinstance(each, Unjudged)]
    return resolved, unjudged


def _split(
    metric: config_pb2.MetricConfig, counts: Mapping[SliceKey, Count], min_pairs: int
) -> Iterator[config_pb2.PerSliceMetricThreshold | Unjudged]:
    """A metric's bounds, one slice each, as they are judged or not."""
    for bound in metric.per_slice_thresholds:
        for spec in bound.slicing_specs:
            keys = _matching(spec, counts)
            if not keys and not spec.feature_keys:
                yield _on(spec, bound)
            for key in keys:
                reason = _reason(_name(metric), key, counts[key], min_pairs)
                if not reason:
                    values = {column: str(value) for column, value in key}
                    yield _on(config_pb2.SlicingSpec(feature_values=values), bound)
                    continue
                yield Unjudged(
                    metric=_name(metric),
                    slice=slice_name(key),
                    pairs=counts[key].pairs,
                    reason=reason,
                    is_named=not spec.feature_keys,
                )


def _matching(spec: config_pb2.SlicingSpec, counts: Iterable[SliceKey]) -> list[SliceKey]:
    matcher = slicer.SingleSliceSpec(spec=spec)
    return sorted((key for key in counts if matcher.is_slice_applicable(key)), key=slice_name)


def _reason(metric: str, key: SliceKey, count: Count, min_pairs: int) -> str:
    """Why a slice is not judged, empty if it is."""
    if not key:
        return ""
    if count.pairs < min_pairs:
        return f"has {count.pairs} pairs, fewer than {min_pairs} (evaluator.min_slice_pairs)"
    if metric in _NEEDS_TRUE and not count.true:
        return "has no true pairs"
    if metric in _NEEDS_BOTH and not count.wrong:
        return "has no wrong pairs"
    return ""


def _on(
    spec: config_pb2.SlicingSpec, bound: config_pb2.PerSliceMetricThreshold
) -> config_pb2.PerSliceMetricThreshold:
    return config_pb2.PerSliceMetricThreshold(slicing_specs=[spec], threshold=bound.threshold)


def _name(metric: config_pb2.MetricConfig) -> str:
    name: str = json.loads(metric.config)["name"]
    return name

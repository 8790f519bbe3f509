"""Which bounds of an EvalConfig can be judged on the pairs at hand: pure functions over protos."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tensorflow_model_analysis.proto import config_pb2

from core.metrics import METRICS
from core.slices import EVERY, Parts, is_meant, slice_name
from results.evaluation import Unjudged


class Count(NamedTuple):
    """Pairs of a slice, by label."""

    true: int
    wrong: int

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.true + self.wrong


def resolve(
    config: config_pb2.EvalConfig, counts: Mapping[Parts, Count], min_pairs: int
) -> tuple[config_pb2.EvalConfig, list[Unjudged]]:
    """Turns bounds on every value of a column into bounds on each slice that is large enough.

    The whole split is judged whatever its size. A bound that names a slice without any pairs stays:
    TFMA reports it as missing, since it is most likely a typing error.

    Args:
      config: with bounds in the metrics' `per_slice_thresholds`.
      counts: pairs of every slice that the config's slicing specs make, by its parts in TFMA's
        order.
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
    metric: config_pb2.MetricConfig, counts: Mapping[Parts, Count], min_pairs: int
) -> Iterator[config_pb2.PerSliceMetricThreshold | Unjudged]:
    """A metric's bounds, one slice each, as they are judged or not."""
    for bound in metric.per_slice_thresholds:
        for spec in bound.slicing_specs:
            keys = _meant(spec, counts)
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


def _meant(spec: config_pb2.SlicingSpec, counts: Iterable[Parts]) -> list[Parts]:
    every = [(column, EVERY) for column in spec.feature_keys]
    asked = (*every, *spec.feature_values.items())
    return sorted((key for key in counts if is_meant(key, asked)), key=slice_name)


def _reason(metric: str, key: Parts, count: Count, min_pairs: int) -> str:
    """Why a slice is not judged, empty if it is."""
    if not key:
        return ""
    if count.pairs < min_pairs:
        return f"has {count.pairs} pairs, fewer than {min_pairs} (evaluator.min_slice_pairs)"
    if METRICS[metric].needs_true and not count.true:
        return "has no true pairs"
    if METRICS[metric].needs_wrong and not count.wrong:
        return "has no wrong pairs"
    return ""


def _on(
    spec: config_pb2.SlicingSpec, bound: config_pb2.PerSliceMetricThreshold
) -> config_pb2.PerSliceMetricThreshold:
    return config_pb2.PerSliceMetricThreshold(slicing_specs=[spec], threshold=bound.threshold)


def _name(metric: config_pb2.MetricConfig) -> str:
    name: str = json.loads(metric.config)["name"]
    return name

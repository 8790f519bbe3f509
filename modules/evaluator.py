"""What the Evaluator measures, on which slices, and which bounds bless a model."""

import json
from collections.abc import Iterable, Sequence

from tensorflow_model_analysis.proto import config_pb2

from core import features, slices
from core.config import EvaluatorConfig, Threshold
from core.metrics import METRICS, OURS
from core.slices import EVERY, EVERY_SLICE
from modules.evaluation import metrics
from modules.export import signatures

_CONFIDENCE = {
    "jackknife": config_pb2.ConfidenceIntervalOptions.JACKKNIFE,
    "poisson_bootstrap": config_pb2.ConfidenceIntervalOptions.POISSON_BOOTSTRAP,
}


def eval_config(settings: EvaluatorConfig, slice_columns: Sequence[str]) -> config_pb2.EvalConfig:
    """Builds TFMA's configuration.

    A bound on every value of a column is written as TFMA means it, with the column as a feature key
    without a value.

    Args:
      settings: the `evaluator` section.
      slice_columns: metadata features to slice by, beside those of our own, the crosses, and the
        columns that have a bound.
    """
    sliced = dict.fromkeys(
        [
            (),
            *((column,) for column in (*slices.OWN_COLUMNS, *slice_columns)),
            *(tuple(sorted(cross)) for cross in settings.slice_crosses),
            *(threshold.columns for threshold in settings.blessing),
        ]
    )
    options = config_pb2.Options()
    if settings.confidence in _CONFIDENCE:
        options.compute_confidence_intervals.value = True
        options.confidence_intervals.method = _CONFIDENCE[settings.confidence]
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name=signatures.SERVE_EXAMPLES,
                label_key=features.LABEL,
                prediction_key=features.PROBABILITY,
            )
        ],
        slicing_specs=[config_pb2.SlicingSpec(feature_keys=columns) for columns in sliced],
        metrics_specs=[config_pb2.MetricsSpec(metrics=_metrics(settings, sliced))],
        options=options,
    )


def _metrics(
    settings: EvaluatorConfig, sliced: Iterable[tuple[str, ...]]
) -> list[config_pb2.MetricConfig]:
    return [
        config_pb2.MetricConfig(
            class_name=metric.class_name,
            # The name must not stand in `core`: whatever imports that would depend on it.
            module=metrics.__name__ if metric.module == OURS else metric.module,
            config=json.dumps({"name": metric.name, **metric.options(settings.threshold)}),
            per_slice_thresholds=[
                _bound(threshold, sliced)
                for threshold in settings.blessing
                if threshold.metric == metric.name
            ],
        )
        for metric in METRICS.values()
    ]


def _bound(
    threshold: Threshold, sliced: Iterable[tuple[str, ...]]
) -> config_pb2.PerSliceMetricThreshold:
    bound = config_pb2.MetricThreshold()
    if threshold.min is not None:
        bound.value_threshold.lower_bound.value = threshold.min
    if threshold.max is not None:
        bound.value_threshold.upper_bound.value = threshold.max
    if threshold.max_drop is not None:
        bound.change_threshold.absolute.value = -threshold.max_drop
        bound.change_threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
    if threshold.max_rise is not None:
        bound.change_threshold.absolute.value = threshold.max_rise
        bound.change_threshold.direction = config_pb2.MetricDirection.LOWER_IS_BETTER
    if threshold.slice == EVERY_SLICE:
        specs = [
            config_pb2.SlicingSpec(feature_keys=columns)
            for columns in sliced
            if slices.is_by_metadata(columns)
        ]
    else:
        specs = [
            config_pb2.SlicingSpec(
                feature_keys=[column for column, value in threshold.parts if value == EVERY],
                feature_values={
                    column: value for column, value in threshold.parts if value != EVERY
                },
            )
        ]
    return config_pb2.PerSliceMetricThreshold(slicing_specs=specs, threshold=bound)

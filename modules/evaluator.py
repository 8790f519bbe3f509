"""What the Evaluator measures, on which slices, and which bounds bless a model."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from core import features
from core.config import EVERY, EVERY_SLICE, EvaluatorConfig, Threshold
from modules.evaluation import metrics
from modules.export import signatures

_CONFIDENCE = {
    "jackknife": config_pb2.ConfidenceIntervalOptions.JACKKNIFE,
    "poisson_bootstrap": config_pb2.ConfidenceIntervalOptions.POISSON_BOOTSTRAP,
}

_PLOT_POINTS = 100

# Where metrics are found that are not TFMA's.
_MODULES = {
    metrics.RocAuc.__name__: metrics.__name__,
    metrics.AveragePrecision.__name__: metrics.__name__,
    metrics.ExpectedCalibrationError.__name__: metrics.__name__,
    # TFMA's own BinaryCrossEntropy counts twice what it merges.
    "BinaryCrossentropy": "tf_keras.metrics",
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
    own = [(features.PAIR_KIND,), (features.AGAINST,)]
    bounded = [threshold.columns for threshold in settings.blessing if threshold.columns]
    described = [
        *((column,) for column in (*features.BUCKETS, *slice_columns)),
        *(tuple(sorted(cross)) for cross in settings.slice_crosses),
        *(columns for columns in bounded if columns not in own),
    ]
    slices = dict.fromkeys([(), *own, *described])
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
        slicing_specs=[config_pb2.SlicingSpec(feature_keys=columns) for columns in slices],
        metrics_specs=[
            config_pb2.MetricsSpec(metrics=_metrics(settings, dict.fromkeys(described)))
        ],
        options=options,
    )


def _metrics(
    settings: EvaluatorConfig, described: Iterable[tuple[str, ...]]
) -> list[config_pb2.MetricConfig]:
    at_threshold = {"thresholds": settings.threshold}
    # The names are those that thresholds in the configuration use.
    measured: dict[str, tuple[str, dict[str, Any]]] = {
        "auc": (metrics.RocAuc.__name__, {}),
        "auc_pr": (metrics.AveragePrecision.__name__, {}),
        "accuracy": ("BinaryAccuracy", {"threshold": settings.threshold}),
        "precision": ("Precision", at_threshold),
        "recall": ("Recall", at_threshold),
        "ece": (metrics.ExpectedCalibrationError.__name__, {}),
        "log_loss": ("BinaryCrossentropy", {}),
        "example_count": ("ExampleCount", {}),
        "calibration": ("Calibration", {}),
        "mean_label": ("MeanLabel", {}),
        "mean_prediction": ("MeanPrediction", {}),
        "calibration_plot": ("CalibrationPlot", {"num_buckets": _PLOT_POINTS}),
        "confusion_matrix_plot": ("ConfusionMatrixPlot", {"num_thresholds": _PLOT_POINTS}),
        "confusion_matrix_at_thresholds": (
            "ConfusionMatrixAtThresholds",
            {"thresholds": [settings.threshold]},
        ),
    }
    return [
        config_pb2.MetricConfig(
            class_name=class_name,
            module=_MODULES.get(class_name),
            config=json.dumps({"name": name, **options}),
            per_slice_thresholds=[
                _bound(threshold, described)
                for threshold in settings.blessing
                if threshold.metric == name
            ],
        )
        for name, (class_name, options) in measured.items()
    ]


def _bound(
    threshold: Threshold, described: Iterable[tuple[str, ...]]
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
        specs = [config_pb2.SlicingSpec(feature_keys=columns) for columns in described]
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

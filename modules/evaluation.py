"""What the Evaluator measures, on which slices, and which bounds bless a model."""

from collections.abc import Sequence

from tensorflow_model_analysis.proto import config_pb2

from modules import features, signatures
from pipeline.config import EvaluatorConfig, Threshold


def eval_config(settings: EvaluatorConfig, slice_columns: Sequence[str]) -> config_pb2.EvalConfig:
    """Builds TFMA's configuration.

    Args:
      settings: the `evaluator` section.
      slice_columns: metadata features to slice by, beside `pair_kind`, `against` and the columns
        that have a bound.
    """
    bounded = (threshold.column for threshold in settings.blessing if threshold.column)
    columns = dict.fromkeys((features.PAIR_KIND, features.AGAINST, *slice_columns, *bounded))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name=signatures.SERVE_EXAMPLES,
                label_key=features.LABEL,
                prediction_key=features.PROBABILITY,
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *(config_pb2.SlicingSpec(feature_keys=[column]) for column in columns),
        ],
        metrics_specs=[config_pb2.MetricsSpec(metrics=_metrics(settings))],
    )


def _metrics(settings: EvaluatorConfig) -> list[config_pb2.MetricConfig]:
    at_threshold = f'"thresholds": {settings.threshold}'
    # The names are those that thresholds in the configuration use.
    judged = {
        "auc": ("AUC", ""),
        "auc_pr": ("AUC", '"curve": "PR"'),
        "accuracy": ("BinaryAccuracy", f'"threshold": {settings.threshold}'),
        "precision": ("Precision", at_threshold),
        "recall": ("Recall", at_threshold),
    }
    unjudged = {
        "example_count": ("ExampleCount", ""),
        "calibration": ("Calibration", ""),
        "mean_label": ("MeanLabel", ""),
        "mean_prediction": ("MeanPrediction", ""),
        "calibration_plot": ("CalibrationPlot", ""),
        "confusion_matrix_plot": ("ConfusionMatrixPlot", ""),
        "confusion_matrix_at_thresholds": (
            "ConfusionMatrixAtThresholds",
            f'"thresholds": [{settings.threshold}]',
        ),
    }
    return [
        config_pb2.MetricConfig(
            class_name=class_name,
            config=", ".join(filter(None, (f'"name": "{name}"', options))),
            per_slice_thresholds=[
                _bound(threshold) for threshold in settings.blessing if threshold.metric == name
            ],
        )
        for name, (class_name, options) in {**judged, **unjudged}.items()
    ]


def _bound(threshold: Threshold) -> config_pb2.PerSliceMetricThreshold:
    bound = config_pb2.MetricThreshold()
    if threshold.min is not None:
        bound.value_threshold.lower_bound.value = threshold.min
    if threshold.max_drop is not None:
        bound.change_threshold.absolute.value = -threshold.max_drop
        bound.change_threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
    spec = config_pb2.SlicingSpec()
    if threshold.column:
        spec.feature_values[threshold.column] = threshold.slice.partition(":")[2]
    return config_pb2.PerSliceMetricThreshold(slicing_specs=[spec], threshold=bound)

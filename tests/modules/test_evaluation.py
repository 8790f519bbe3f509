from modules import evaluation, features
from pipeline.config import EvaluatorConfig, Threshold


def test_what_is_measured_and_sliced():
    config = evaluation.eval_config(EvaluatorConfig(), ["color", "shape"])
    (spec,) = config.model_specs
    assert (spec.signature_name, spec.label_key) == ("serve_examples", features.LABEL)
    slices = [list(each.feature_keys) for each in config.slicing_specs]
    assert slices == [[], ["pair_kind"], ["against"], ["color"], ["shape"]]
    measured = {metric.class_name for metric in config.metrics_specs[0].metrics}
    assert measured >= {
        "AUC",
        "BinaryAccuracy",
        "Precision",
        "Recall",
        "Calibration",
        "CalibrationPlot",
        "ConfusionMatrixAtThresholds",
        "ExampleCount",
    }


def test_a_column_with_a_bound_is_sliced_by():
    settings = EvaluatorConfig(blessing=(Threshold(metric="auc", slice="color:red", min=0.7),))
    slices = evaluation.eval_config(settings, ["shape"]).slicing_specs
    assert ["color"] in [list(each.feature_keys) for each in slices]
    again = evaluation.eval_config(settings, ["color"]).slicing_specs
    assert [list(each.feature_keys) for each in again].count(["color"]) == 1


def test_bounds_stand_at_their_metric_and_slice():
    settings = EvaluatorConfig(
        blessing=(
            Threshold(metric="auc", slice="against:hard", min=0.7, max_drop=0.02),
            Threshold(metric="recall", min=0.5),
        )
    )
    metrics = evaluation.eval_config(settings, []).metrics_specs[0].metrics
    bounds = [
        (metric.class_name, bound) for metric in metrics for bound in metric.per_slice_thresholds
    ]
    (name, auc), (other, recall) = bounds
    assert (name, other) == ("AUC", "Recall")
    assert dict(auc.slicing_specs[0].feature_values) == {"against": "hard"}
    assert auc.threshold.value_threshold.lower_bound.value == 0.7
    assert auc.threshold.change_threshold.absolute.value == -0.02
    assert not recall.slicing_specs[0].feature_values
    assert recall.threshold.value_threshold.lower_bound.value == 0.5
    assert not recall.threshold.HasField("change_threshold")


def test_the_threshold_is_used_wherever_one_is_needed():
    metrics = evaluation.eval_config(EvaluatorConfig(threshold=0.3), []).metrics_specs[0].metrics
    used = [metric.class_name for metric in metrics if "0.3" in metric.config]
    assert used == ["BinaryAccuracy", "Precision", "Recall", "ConfusionMatrixAtThresholds"]

import json

import pytest
from tensorflow_model_analysis.proto import config_pb2

from core import features
from core.config import EvaluatorConfig, Threshold
from modules import evaluator

BUCKETS = [["caption_length"], ["image_size"]]


def sliced(config):
    return [list(spec.feature_keys) for spec in config.slicing_specs]


def bounds(config):
    return [
        (json.loads(metric.config)["name"], bound)
        for metric in config.metrics_specs[0].metrics
        for bound in metric.per_slice_thresholds
    ]


def test_what_is_measured_and_sliced():
    config = evaluator.eval_config(EvaluatorConfig(blessing=()), ["color", "shape"])
    (spec,) = config.model_specs
    assert (spec.signature_name, spec.label_key) == ("serve_examples", features.LABEL)
    assert sliced(config) == [[], ["pair_kind"], ["against"], *BUCKETS, ["color"], ["shape"]]
    measured = {json.loads(metric.config)["name"] for metric in config.metrics_specs[0].metrics}
    assert measured == {
        "auc",
        "auc_pr",
        "accuracy",
        "precision",
        "recall",
        "ece",
        "log_loss",
        "example_count",
        "calibration",
        "mean_label",
        "mean_prediction",
        "calibration_plot",
        "confusion_matrix_plot",
        "confusion_matrix_at_thresholds",
    }


def test_a_column_with_a_bound_is_sliced_by():
    settings = EvaluatorConfig(blessing=(Threshold(metric="auc", slice="color:red", min=0.7),))
    assert ["color"] in sliced(evaluator.eval_config(settings, ["shape"]))
    assert sliced(evaluator.eval_config(settings, ["color"])).count(["color"]) == 1


def test_columns_are_crossed():
    settings = EvaluatorConfig(
        slice_crosses=[["shape", "color"]],
        blessing=(Threshold(metric="auc", slice="type:fire × color:red", min=0.7),),
    )
    config = evaluator.eval_config(settings, ["color"])
    assert sliced(config)[-2:] == [["color", "shape"], ["color", "type"]]
    ((_, bound),) = bounds(config)
    assert dict(bound.slicing_specs[0].feature_values) == {"type": "fire", "color": "red"}


def test_every_value_of_a_column_is_a_feature_key():
    settings = EvaluatorConfig(blessing=(Threshold(metric="auc", slice="color:*", min=0.7),))
    ((_, bound),) = bounds(evaluator.eval_config(settings, []))
    assert bound.slicing_specs == [config_pb2.SlicingSpec(feature_keys=["color"])]


def test_every_slice_is_every_one_by_metadata_bucket_or_cross():
    settings = EvaluatorConfig(
        slice_crosses=[["color", "shape"]],
        blessing=(Threshold(metric="auc", slice="*:*", max_drop=0.1),),
    )
    ((_, bound),) = bounds(evaluator.eval_config(settings, ["color"]))
    assert [list(spec.feature_keys) for spec in bound.slicing_specs] == [
        *BUCKETS,
        ["color"],
        ["color", "shape"],
    ]


def test_where_lower_is_better_bounds_are_upper_ones():
    settings = EvaluatorConfig(
        blessing=(
            Threshold(metric="ece", max=0.1, max_rise=0.02),
            Threshold(metric="log_loss", max_rise=0.5),
        )
    )
    (_, ece), (_, loss) = bounds(evaluator.eval_config(settings, []))
    assert ece.threshold.value_threshold.upper_bound.value == 0.1
    assert not ece.threshold.value_threshold.HasField("lower_bound")
    change = ece.threshold.change_threshold
    assert (change.absolute.value, change.direction) == (
        0.02,
        config_pb2.MetricDirection.LOWER_IS_BETTER,
    )
    assert not loss.threshold.HasField("value_threshold")


@pytest.mark.parametrize("method", ["JACKKNIFE", "POISSON_BOOTSTRAP"])
def test_confidence_intervals_are_asked_for(method):
    options = evaluator.eval_config(EvaluatorConfig(confidence=method.lower()), []).options
    assert options.compute_confidence_intervals.value
    asked = options.confidence_intervals.method
    assert asked == config_pb2.ConfidenceIntervalOptions.ConfidenceIntervalMethod.Value(method)
    without = evaluator.eval_config(EvaluatorConfig(confidence="none"), []).options
    assert not without.compute_confidence_intervals.value


def test_bounds_stand_at_their_metric_and_slice():
    settings = EvaluatorConfig(
        blessing=(
            Threshold(metric="auc", slice="against:hard", min=0.7, max_drop=0.02),
            Threshold(metric="recall", min=0.5),
        )
    )
    (name, auc), (other, recall) = bounds(evaluator.eval_config(settings, []))
    assert (name, other) == ("auc", "recall")
    assert dict(auc.slicing_specs[0].feature_values) == {"against": "hard"}
    assert auc.threshold.value_threshold.lower_bound.value == 0.7
    assert auc.threshold.change_threshold.absolute.value == -0.02
    assert not recall.slicing_specs[0].feature_values
    assert recall.threshold.value_threshold.lower_bound.value == 0.5
    assert not recall.threshold.HasField("change_threshold")


def test_the_threshold_is_used_wherever_one_is_needed():
    metrics = evaluator.eval_config(EvaluatorConfig(threshold=0.3), []).metrics_specs[0].metrics
    used = [metric.class_name for metric in metrics if "0.3" in metric.config]
    assert used == ["BinaryAccuracy", "Precision", "Recall", "ConfusionMatrixAtThresholds"]

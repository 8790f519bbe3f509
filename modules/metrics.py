"""Metrics that TFMA lacks, built on its own computations.

TFMA finds them by `module` and `class_name` of a `MetricConfig`.
"""

from typing import Any

from tensorflow_model_analysis.metrics import calibration_histogram, metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

EXPECTED_CALIBRATION_ERROR = "ece"

_BINS = 15


class ExpectedCalibrationError(metric_types.Metric):
    """How far stated probabilities are from what comes true, 0 is best, 1 worst.

    Predictions are sorted into bins of equal width over [0, 1]. In each, the mean prediction is
    compared with the share of positive labels; the error is the mean of the absolute differences,
    weighted by the bins' example counts. NaN where there are no examples.

    This is the binary form, over the probability of the positive class, which a reliability diagram
    shows. The form over the confidence in the predicted class, max(p, 1 - p), lets errors on both
    sides of 0.5 cancel out, and so is never larger.

    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning", AAAI 2015.

    Args:
      num_bins: number of bins.
      name: of the metric.
    """

    def __init__(self, num_bins: int = _BINS, name: str = EXPECTED_CALIBRATION_ERROR):
        super().__init__(
            metric_util.merge_per_key_computations(_expected_calibration_error),
            num_bins=num_bins,
            name=name,
        )


# The arguments are those that TFMA hands to every metric that asks for them.
def _expected_calibration_error(
    num_bins: int = _BINS,
    name: str = EXPECTED_CALIBRATION_ERROR,
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    sub_key: metric_types.SubKey | None = None,
    aggregation_type: metric_types.AggregationType | None = None,
    class_weights: dict[int, float] | None = None,
    example_weighted: bool = False,
) -> metric_types.MetricComputations:
    key = metric_types.MetricKey(
        name=name,
        model_name=model_name,
        output_name=output_name,
        sub_key=sub_key,
        example_weighted=example_weighted,
    )
    # A histogram with just our bins: the calibration plot's has 10,000, whose edges are not ours.
    computations = calibration_histogram.calibration_histogram(
        num_buckets=num_bins,
        eval_config=eval_config,
        model_name=model_name,
        output_name=output_name,
        sub_key=sub_key,
        aggregation_type=aggregation_type,
        class_weights=class_weights,
        example_weighted=example_weighted,
    )
    histogram_key = computations[-1].keys[-1]

    def result(metrics: dict[metric_types.MetricKey, Any]) -> dict[metric_types.MetricKey, float]:
        return {key: _error(metrics[histogram_key], num_bins)}

    computations.append(metric_types.DerivedMetricComputation(keys=[key], result=result))
    return computations


def _error(histogram: calibration_histogram.Histogram, num_bins: int) -> float:
    # The histogram counts what is exactly 1 as beyond the last bin.
    edges = [index / num_bins for index in range(num_bins)]
    bins = calibration_histogram.rebin(edges, histogram, num_bins)
    examples = sum(each.weighted_examples for each in bins)
    if not examples:
        return float("nan")
    return sum(abs(each.weighted_predictions - each.weighted_labels) for each in bins) / examples

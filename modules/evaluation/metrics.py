"""Metrics of binary predictions, made from TFMA's calibration histogram.

TFMA has no calibration error. It has areas under curves, but makes them from matrices of 10,000
thresholds, and a confidence interval resamples every cell of those: minutes, where a histogram,
which has just the buckets that predictions fall into, takes seconds. Both see the same: order
within a ten-thousandth is unknown.

TFMA finds them by the `module` and `class_name` that `core.metrics` gives for them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from tensorflow_model_analysis.metrics import calibration_histogram, metric_types, metric_util
from tensorflow_model_analysis.proto import config_pb2

from core.metrics import CALIBRATION_BINS


class RocAuc(metric_types.Metric):
    """Area under the ROC curve; NaN without labels of both kinds.

    It is the share of (positive, negative) pairs in the right order, ties counted half.

    Args:
      name: of the metric.
    """

    def __init__(self, name: str = "auc"):
        super().__init__(_computations_of(roc_auc), name=name)


class AveragePrecision(metric_types.Metric):
    """Area under the precision-recall curve, as a sum of steps; NaN without positives.

    Source: scikit-learn's `average_precision_score`.

    Args:
      name: of the metric.
    """

    def __init__(self, name: str = "auc_pr"):
        super().__init__(_computations_of(average_precision), name=name)


class ExpectedCalibrationError(metric_types.Metric):
    """How far stated probabilities are from what comes true: 0 is best, 1 worst.

    Predictions are sorted into `CALIBRATION_BINS` of equal width over [0, 1]. In each, the mean
    prediction is compared with the share of positive labels; the error is the mean of the absolute
    differences, weighted by the bins' example counts. NaN where there are no examples.

    This is the binary form, over the probability of the positive class, which a reliability diagram
    shows. The form over the confidence in the predicted class, max(p, 1 - p), lets errors on both
    sides of 0.5 cancel out, and so is never larger.

    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning", AAAI 2015.

    Args:
      name: of the metric.
    """

    def __init__(self, name: str = "ece"):
        # A histogram with just these bins: others' edges are not ours.
        super().__init__(_computations_of(calibration_error, CALIBRATION_BINS), name=name)


def roc_auc(labels: np.ndarray, predictions: np.ndarray, examples: np.ndarray) -> float:
    """See `RocAuc`.

    Args:
      labels: float64 [buckets], positive labels in each, in ascending order of prediction.
      predictions: float64 [buckets], sum of the predictions; not looked at.
      examples: float64 [buckets], number of examples.
    """
    wrong = examples - labels
    below = np.cumsum(wrong) - wrong
    return _ratio((labels * (below + wrong / 2)).sum(), labels.sum() * wrong.sum())


def average_precision(labels: np.ndarray, predictions: np.ndarray, examples: np.ndarray) -> float:
    """See `AveragePrecision`; the arguments are those of `roc_auc`."""
    at_least = np.cumsum(labels[::-1]) / np.cumsum(examples[::-1])
    return _ratio((labels[::-1] * at_least).sum(), labels.sum())


def calibration_error(labels: np.ndarray, predictions: np.ndarray, examples: np.ndarray) -> float:
    """See `ExpectedCalibrationError`; the arguments are those of `roc_auc`."""
    return _ratio(np.abs(predictions - labels).sum(), examples.sum())


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else float("nan")


def _computations_of(
    figure: Callable[[np.ndarray, np.ndarray, np.ndarray], float],
    num_buckets: int = calibration_histogram.DEFAULT_NUM_BUCKETS,
) -> Callable[..., metric_types.MetricComputations]:
    """What TFMA runs for a figure that is a function of the histogram of predictions."""

    # TFMA looks the arguments up by name.
    def computations(
        name: str,
        eval_config: config_pb2.EvalConfig | None = None,
        model_name: str = "",
        output_name: str = "",
        example_weighted: bool = False,
    ) -> metric_types.MetricComputations:
        key = metric_types.MetricKey(
            name=name,
            model_name=model_name,
            output_name=output_name,
            example_weighted=example_weighted,
        )
        histogram = calibration_histogram.calibration_histogram(
            # TFMA computes once what several metrics ask for by the same name.
            num_buckets=num_buckets,
            left=0.0,
            right=1.0,
            eval_config=eval_config,
            model_name=model_name,
            output_name=output_name,
            example_weighted=example_weighted,
        )
        histogram_key = histogram[-1].keys[-1]

        def result(
            metrics: dict[metric_types.MetricKey, Any],
        ) -> dict[metric_types.MetricKey, float]:
            return {key: figure(*_columns(metrics[histogram_key], num_buckets))}

        return [*histogram, metric_types.DerivedMetricComputation(keys=[key], result=result)]

    return metric_util.merge_per_key_computations(computations)


def _columns(
    histogram: calibration_histogram.Histogram, num_buckets: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and examples of the buckets that hold any, in ascending order."""
    sums = np.array(
        [
            (bucket.weighted_labels, bucket.weighted_predictions, bucket.weighted_examples)
            for bucket in histogram
        ],
        np.float64,
    ).reshape(-1, 3)
    # What is exactly 1 has a bucket of its own beyond the last; it belongs into the last.
    ids = np.minimum([bucket.bucket_id for bucket in histogram], num_buckets)
    first = np.flatnonzero(np.diff(ids, prepend=-1))
    merged = np.add.reduceat(sums, first) if len(first) else sums
    labels, predictions, examples = merged.T
    return labels, predictions, examples

"""The metrics of the evaluation: what each is, what it needs, and where it is shown.

This is the one place that knows them, and plain data: configuration, Evaluator, commands and pages
read it. A metric that TFMA has is added here and nowhere else; for one that it does not have, the
class is written in `modules/evaluation/metrics.py`. The order of the table is the order in which
figures are shown.
"""

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

OURS = "ours"
"""As the module of a class that TFMA does not have; `modules.evaluator` knows where it is."""
_PLOT_POINTS = 100

CALIBRATION_BINS = 15
"""Bins of equal width over [0, 1], of which the expected calibration error is the mean gap."""

# Metrics that the code speaks of by name.
AUC = "auc"
EXAMPLE_COUNT = "example_count"
MEAN_LABEL = "mean_label"
MEAN_PREDICTION = "mean_prediction"


class Better(enum.StrEnum):
    """Which of two figures is the better one."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Metric:
    """A figure, or a plot, of the evaluation.

    Attributes:
      name: as configuration, MLMD, commands and pages have it.
      class_name: of the class that TFMA makes it with.
      module: where the class is, or `OURS`; empty if it is TFMA's own.
      options: `evaluator.threshold` to what the class takes beside the name.
      better: which figure is the better one. If one is, thresholds can bound the metric, and
        changes of it are shown. None if neither is.
      lower: the least that it can be.
      upper: the most that it can be.
      needs_true: whether it says nothing of a slice without true pairs.
      needs_wrong: whether it says nothing of a slice without wrong pairs.
      in_summary: whether it is shown where there is room for few.
      in_tables: whether the report and the model card show it by slice.
    """

    name: str
    class_name: str
    module: str = ""
    options: Callable[[float], Mapping[str, Any]] = lambda threshold: {}
    better: Better | None = None
    lower: float = 0.0
    upper: float = 1.0
    needs_true: bool = False
    needs_wrong: bool = False
    in_summary: bool = False
    in_tables: bool = True


_TABLE = (
    Metric(
        AUC,
        "RocAuc",
        module=OURS,
        better=Better.HIGHER,
        needs_true=True,
        needs_wrong=True,
        in_summary=True,
    ),
    Metric(
        "auc_pr",
        "AveragePrecision",
        module=OURS,
        better=Better.HIGHER,
        needs_true=True,
        needs_wrong=True,
        in_summary=True,
    ),
    Metric(
        "accuracy",
        "BinaryAccuracy",
        options=lambda threshold: {"threshold": threshold},
        better=Better.HIGHER,
        in_summary=True,
    ),
    Metric(
        "precision",
        "Precision",
        options=lambda threshold: {"thresholds": threshold},
        better=Better.HIGHER,
        needs_true=True,
        in_summary=True,
    ),
    Metric(
        "recall",
        "Recall",
        options=lambda threshold: {"thresholds": threshold},
        better=Better.HIGHER,
        needs_true=True,
        in_summary=True,
    ),
    # The ratio of what was stated to what came true, 1 at best.
    Metric("calibration", "Calibration", upper=math.inf),
    Metric("ece", "ExpectedCalibrationError", module=OURS, better=Better.LOWER, in_summary=True),
    Metric(
        "log_loss",
        # TFMA's own BinaryCrossEntropy counts twice what it merges.
        "BinaryCrossentropy",
        module="tf_keras.metrics",
        better=Better.LOWER,
        upper=math.inf,
    ),
    Metric(MEAN_PREDICTION, "MeanPrediction"),
    Metric(MEAN_LABEL, "MeanLabel", in_tables=False),
    Metric(EXAMPLE_COUNT, "ExampleCount", upper=math.inf, in_tables=False),
    Metric(
        "calibration_plot",
        "CalibrationPlot",
        options=lambda threshold: {"num_buckets": _PLOT_POINTS},
        in_tables=False,
    ),
    Metric(
        "confusion_matrix_plot",
        "ConfusionMatrixPlot",
        options=lambda threshold: {"num_thresholds": _PLOT_POINTS},
        in_tables=False,
    ),
    Metric(
        "confusion_matrix_at_thresholds",
        "ConfusionMatrixAtThresholds",
        options=lambda threshold: {"thresholds": [threshold]},
        in_tables=False,
    ),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _TABLE}
"""By name. An evaluation of another release may hold figures that are not in it."""

COMPARED = tuple(metric.name for metric in _TABLE if metric.better)
"""Those that can be better or worse."""
LOWER_IS_BETTER = tuple(metric.name for metric in _TABLE if metric.better is Better.LOWER)
SUMMARISED = tuple(metric.name for metric in _TABLE if metric.in_summary)
"""Those that are shown where there is room for few."""


def gain(metric: str, change: float) -> float | None:
    """How much better a figure is made by a change of it; negative if it is made worse.

    Args:
      metric: its name.
      change: the new figure minus the old one.

    Returns:
      None if neither more nor less of the metric is better.
    """
    known = METRICS.get(metric)
    if known is None or known.better is None:
        return None
    return change if known.better is Better.HIGHER else -change

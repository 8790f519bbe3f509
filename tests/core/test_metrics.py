"""The table of metrics."""

import math

import pytest

from core import metrics


def test_a_gain_is_a_change_for_the_better():
    assert metrics.gain("auc", 0.25) == 0.25
    assert metrics.gain("ece", 0.25) == -0.25
    assert metrics.gain("mean_prediction", 0.25) is None
    assert metrics.gain("of_another_release", 0.25) is None


def test_figures_stand_in_the_order_in_which_people_look_at_them():
    assert metrics.SUMMARISED == ("auc", "auc_pr", "accuracy", "precision", "recall", "ece")
    assert metrics.COMPARED[: len(metrics.SUMMARISED)] == metrics.SUMMARISED


@pytest.mark.parametrize("metric", metrics.METRICS.values(), ids=lambda metric: metric.name)
def test_a_range_is_one(metric):
    assert metric.lower < metric.upper
    assert math.isfinite(metric.lower)

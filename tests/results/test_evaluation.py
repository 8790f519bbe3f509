"""The Evaluator's findings, read from files as TFMA writes them."""

import pytest

from results import evaluation
from results.evaluation import SliceFigures


@pytest.mark.parametrize(
    ("metric", "interval", "told"),
    [
        ("auc", (0.9, 1.1), (0.9, 1.0)),
        ("recall", (-0.1, 0.5), (0.0, 0.5)),
        ("log_loss", (-0.5, 1.5), (0.0, 1.5)),
        ("calibration", (0.5, 1.5), (0.5, 1.5)),
        ("of_another_release", (-0.5, 1.5), (-0.5, 1.5)),
    ],
)
def test_an_interval_ends_where_the_range_of_its_metric_does(
    test_module, tmp_path, metric, interval, told
):
    figures = {"example_count": 9.0, metric: (0.5, *interval, None)}
    support = test_module("pipeline/runs_support.py")
    support.write_evaluation(tmp_path / "evaluation", {"overall": figures})
    (overall,) = evaluation.load(str(tmp_path / "evaluation")).slices
    assert overall.intervals == {metric: told}


def test_figures_are_named_in_the_order_of_the_table_and_unknown_ones_last():
    figures = dict.fromkeys(("brier", "ece", "mean_label", "auc", "example_count", "accuracy"), 0.5)
    names = evaluation.figure_names([SliceFigures("overall", figures), SliceFigures("a:b", {})])
    assert names == ["auc", "accuracy", "ece", "brier"]


def test_an_evaluation_is_read_from_a_folder_whose_name_is_a_pattern(test_module, tmp_path):
    support = test_module("pipeline/runs_support.py")
    for name, auc in (("prö[v2]", 0.5), ("pröv", 0.75)):
        figures = {"overall": {"example_count": 9.0, "auc": auc}}
        support.write_evaluation(tmp_path / name / "evaluation", figures)
    (overall,) = evaluation.load(str(tmp_path / "prö[v2]" / "evaluation")).slices
    assert overall.figures["auc"] == 0.5

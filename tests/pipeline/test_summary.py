from datetime import datetime

import pytest
from rich.console import Console

from core import terminal
from core.slices import parts_of
from pipeline import summary
from results.evaluation import Evaluation, Failure, SliceFigures, Unjudged
from results.metadata import Execution, Output, Run
from results.serving_report import Check, ServingReport
from results.workspace import Workspace

FIGURES = {
    "auc": 0.9312,
    "auc_pr": 0.911,
    "accuracy": 0.87,
    "precision": 0.8349,
    "recall": 0.923,
    "ece": 0.0312,
    "mean_prediction": 0.8754,
    "mean_label": 0.3,
    "example_count": 208.0,
}


def figures(name: str, **changed: float) -> SliceFigures:
    return SliceFigures(
        name,
        {**FIGURES, **changed},
        {"auc": (0.91, 0.95), "mean_prediction": (0.86, 0.90)},
        parts=parts_of(name),
    )


def found(**parts) -> Evaluation:
    names = ("overall", "against:random", "against:hard", "pair_kind:matched")
    slices = (*map(figures, names), figures("habitat:rough-terrain", auc=0.5))
    return Evaluation(**{"slices": slices, "failures": (), **parts})


def run(blessed: int, infra_blessed: int | None = None) -> Run:
    blessing = Output(1, "ModelBlessing", "", {"blessed": blessed})
    executions = [Execution("Evaluator", "new", 1.0, {}, {"ModelBlessing": blessing})]
    if infra_blessed is not None:
        infra = Output(2, "InfraBlessing", "", {"blessed": infra_blessed})
        executions.append(Execution("ServingValidator", "new", 1.0, {}, {"InfraBlessing": infra}))
    return Run("1", datetime(2026, 1, 1), tuple(executions))


@pytest.fixture
def printed(monkeypatch):
    """What is printed on a terminal of 100 columns."""
    console = Console(width=100, record=True)
    monkeypatch.setattr(terminal, "output", console)
    return console.export_text


@pytest.mark.parametrize("changed", [None, "PairSampler", "latest_blessed_model"])
def test_a_run_in_which_nothing_was_made_anew_says_so(printed, changed):
    made = ((Output(1, "Examples", "", {}), "examples"),)
    run = Run(
        "1",
        datetime(2026, 1, 1),
        tuple(
            Execution(node, "new" if node == changed else "cached", 1.0, {}, {}, made=outputs)
            for node, outputs in (("PairSampler", made), ("latest_blessed_model", ()))
        ),
    )
    summary.print_components(run)
    # A resolver always looks anew, and makes nothing.
    assert ("Nothing has changed" in printed()) == (changed != "PairSampler")


def test_the_figures_fit_a_terminal(printed):
    summary.print_evaluation(found(), 50)
    text = printed()
    for shown in ("0.931±0.020", "0.911", "0.870", "0.835", "0.923", "0.031", "208"):
        assert shown in text
    assert "habitat:rough-terrain (worst)" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_the_mean_probability_of_true_pairs_is_shown(printed):
    summary.print_evaluation(found(), 50)
    assert "Mean probability of the 208 true pairs: 0.875±0.020" in printed()


def test_every_missed_threshold_is_named(printed):
    missed = Failure("auc", "color:blue", "is 0.4000, must be at least 0.6000")
    summary.print_verdict(run(0), found(failures=(missed,)), None, None)
    text = printed()
    assert "Not blessed" in text
    assert "auc on color:blue is 0.4000, must be at least 0.6000" in text


def test_small_slices_are_counted_and_named_bounds_are_named(printed):
    def unjudged(metric: str, name: str, is_named: bool) -> Unjudged:
        return Unjudged(metric, name, 7, "has 7 pairs, fewer than 50", is_named)

    summary.print_verdict(
        run(1),
        found(
            unjudged=(
                unjudged("auc", "color:pink", False),
                unjudged("ece", "color:pink", False),
                unjudged("auc", "color:grey", False),
                unjudged("recall", "shape:ball", True),
            )
        ),
        None,
        None,
    )
    text = printed()
    assert "too small to be judged: 2 slices" in text
    assert "Not judged: recall on shape:ball has 7 pairs, fewer than 50" in text


def test_a_verdict_without_a_judged_threshold_says_so(printed):
    summary.print_verdict(run(0), found(), None, None)
    assert "no threshold could be judged" in printed()


def test_a_model_that_cannot_be_served_is_told_with_the_reasons(printed):
    served = ServingReport(
        "embedded",
        (
            Check("signatures", True, "all five"),
            Check("memory", False, "5000 MB (at most 4000)"),
        ),
    )
    summary.print_verdict(run(1, infra_blessed=0), found(), served, None)
    text = printed()
    assert "Cannot be served, and was not pushed:" in text
    assert "memory: 5000 MB (at most 4000)" in text
    assert "all five" not in text


def test_a_model_that_was_served_well_says_by_what(printed):
    served = ServingReport("docker", (Check("signatures", True, "all five"),))
    summary.print_verdict(run(1, infra_blessed=1), found(), served, None)
    assert "Served by docker: 1 checks passed" in printed()


def test_the_report_is_named_first(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = {"Report": Output(1, "Report", str(tmp_path / "runs" / "29"), {})}
    run = Run("now", datetime(2026, 1, 1), (Execution("Report", "new", 1.0, {}, made),))
    workspace = Workspace(tmp_path / "runs", tmp_path / "serving")
    summary.print_pointers(run, workspace, tmp_path / "run.log")
    first = capsys.readouterr().out.splitlines()[0]
    assert first.split() == ["report", "runs/29/report.html"]

"""`dexmatch slices`, and how runs are named."""

import json

import pytest

from core.errors import DexmatchError
from results import run_names
from results.metadata import Metadata

SLICES = {
    "overall": {"auc": (0.8, 0.78, 0.82, 0.79), "ece": 0.05, "recall": 0.7},
    "color:red": {"auc": (0.7, 0.6, 0.8, 0.75), "ece": 0.02, "recall": 0.6},
    "color:blue": {"auc": (0.6, 0.5, 0.7, 0.5), "ece": 0.09, "recall": 0.9},
    "shape:[bold]": {"auc": 0.9, "ece": 0.01, "recall": 0.5},
    "color:tiny": {"auc": 0.1, "ece": 0.5, "recall": 0.1, "example_count": 3.0},
    "pair_kind:hard": {"ece": 0.3, "mean_label": 0.0},
}


@pytest.fixture(scope="module")
def options(support, tmp_path_factory):
    """A workspace with three runs, of which the last did not come to its evaluation."""
    root = tmp_path_factory.mktemp("runs")
    (root / "dexmatch").mkdir()
    store = support.Store(root / "dexmatch" / "metadata.sqlite")
    for number, run in enumerate(("2026-11-25T01:00", "2026-11-25T02:00"), 1):
        slices = {
            name: {"example_count": 100.0, "mean_label": 0.3, **figures}
            for name, figures in SLICES.items()
        }
        slices["overall"]["example_count"] = 100.0 * number
        support.write_evaluation(root / f"evaluation{number}", slices)
        outputs = [("ModelEvaluation", root / f"evaluation{number}", {})]
        store.execute(run, "Evaluator", outputs)
    store.execute("2026-11-26T01:00", "Trainer")
    return ["--set", f"run.workspace={root}"]


@pytest.fixture(scope="module")
def found(options):
    from pathlib import Path

    root = Path(options[1].partition("=")[2])
    return Metadata(root / "dexmatch" / "metadata.sqlite").runs()


def names(done):
    return [each["slice"] for each in json.loads(done.stdout)["slices"]]


def test_the_worst_come_first_and_the_whole_split_before_them(ask, options):
    shown = names(ask("slices", "--json", *options))
    assert shown == [
        *("overall", "color:tiny", "color:blue", "color:red", "shape:[bold]"),
        "pair_kind:hard",
    ]


def test_the_highest_come_first_where_lower_is_better(ask, options):
    shown = names(ask("slices", "--sort", "ece", "--json", *options))
    assert shown[:4] == ["overall", "color:tiny", "pair_kind:hard", "color:blue"]


def test_the_worst_are_large_enough_and_have_both_labels(ask, options):
    shown = names(ask("slices", "--sort", "ece", "--worst", "2", "--json", *options))
    assert shown == ["overall", "color:blue", "color:red"]


def test_figures_intervals_and_baseline_are_those_of_the_evaluation(ask, options):
    slices = json.loads(ask("slices", "--json", *options).stdout)["slices"]
    red = next(each for each in slices if each["slice"] == "color:red")
    assert red["figures"]["auc"] == 0.7
    assert red["intervals"] == {"auc": [0.6, 0.8]}
    assert red["baseline"] == {"auc": 0.75}
    assert (red["pairs"], red["is_small"]) == (100, False)


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_the_table_fits_the_terminal(ask, options, width):
    lines = ask("slices", *options, width=width).stdout.splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for shown in ("0.700±0.100", "slice", "pairs"):
        assert shown in text
    assert ("shape:[bold]" in text) or width < 40
    # Change against the baseline, and what else there is room for.
    assert ("-0.050" in text) == (width >= 60)
    assert ("log_loss" in text) == (width >= 120)


def test_a_run_is_named_by_number_by_place_from_the_end_or_by_its_beginning(found):
    def named(name):
        return found.index(run_names.find(found, name)) + 1

    assert [named(name) for name in ("1", "3", "-1", "-3")] == [1, 3, 3, 1]
    assert named("2026-11-26") == 3
    assert named("2026-11-25T02:00") == 2


def test_without_a_name_it_is_the_latest_that_was_evaluated(ask, options, found):
    assert run_names.find(found, None, "ModelEvaluation").id == "2026-11-25T02:00"
    assert json.loads(ask("slices", "--json", *options).stdout)["run"] == "2026-11-25T02:00"
    done = ask("slices", "-3", "--json", *options)
    assert json.loads(done.stdout)["slices"][0]["pairs"] == 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["4"], r"run 4: no such run; runs: 3 \(2026-11-26T01:00\), 2 \("),
        (["-4"], "run -4: no such run"),
        (["yesterday"], "run yesterday: no such run"),
        (["2026-11-25"], "2 runs begin so"),
        (["-1"], "run -1 has no ModelEvaluation"),
        (["--wurst", "3"], "no such option: --wurst"),
        (["--sort", "auk"], "no such figure; there are: auc, ece"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_what_there_is(ask, options, arguments, said):
    with pytest.raises(DexmatchError, match=said) as error:
        ask("slices", *arguments, *options)
    assert "\n" not in str(error.value)


def test_without_runs_it_says_what_to_do(ask, tmp_path):
    with pytest.raises(DexmatchError, match="dexmatch run"):
        ask("slices", "--set", f"run.workspace={tmp_path}")


def test_runs_are_listed_with_their_numbers(ask, options):
    listed = json.loads(ask("runs", "--json", *options).stdout)
    assert [run["number"] for run in listed] == [1, 2, 3]
    assert listed[0]["id"] == "2026-11-25T01:00"
    assert "run" in ask("runs", *options).stdout.split("\n")[1]

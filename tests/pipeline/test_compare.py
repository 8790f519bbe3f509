"""`dexmatch compare`."""

import json
import math

import pytest

from core.errors import DexmatchError
from results import comparison
from results.evaluation import SliceFigures, load
from results.metadata import Metadata

BEFORE = {
    "overall": {"auc": (0.80, 0.78, 0.82, None), "ece": (0.05, 0.04, 0.06, None)},
    "against:random": {"auc": (0.90, 0.88, 0.92, None)},
    "against:hard": {"auc": (0.70, 0.60, 0.80, None)},
    "color:red": {"auc": 0.7},
    "color:blue": {"auc": 0.6},
    "color:gone": {"auc": 0.6},
    "color:tiny": {"auc": 0.1, "example_count": 3.0},
    "pair_kind:hard": {"auc": 0.1, "mean_label": 0.0},
}
AFTER = {
    "overall": {"auc": (0.86, 0.84, 0.88, None), "ece": (0.09, 0.08, 0.10, None)},
    "against:random": {"auc": (0.91, 0.89, 0.93, None)},
    "against:hard": {"auc": (0.75, 0.65, 0.85, None)},
    "color:red": {"auc": 0.75},
    "color:blue": {"auc": 0.3},
    "color:new": {"auc": 0.6},
    "color:tiny": {"auc": 0.9},
    "pair_kind:hard": {"auc": 0.9, "mean_label": 0.0},
}
CONFIG = {
    "trainer": {"epochs": 30, "learning_rate": 0.003},
    "data": {"schema_file": ""},
    "evaluator": {"blessing": [{"metric": "auc", "min": 0.6}]},
}
RUNS = ("2026-11-25T01:00", "2026-11-25T02:00")


@pytest.fixture(scope="module")
def root(support, tmp_path_factory):
    """A workspace with two runs that differ in data, configuration, figures and fate."""
    root = tmp_path_factory.mktemp("runs")
    (root / "dexmatch").mkdir()
    store = support.Store(root / "dexmatch" / "metadata.sqlite")
    config = CONFIG
    for number, (run, figures) in enumerate(zip(RUNS, (BEFORE, AFTER), strict=True)):
        slices = {
            name: {"example_count": 100.0, "mean_label": 0.3, **each}
            for name, each in figures.items()
        }
        support.write_evaluation(root / run, slices)
        data = {"input_base": f"datasets/v{number}", "input_fingerprint": str(number)}
        store.execute(run, "ImportExampleGen", parameters=data)
        store.execute(run, "Evaluator", [("ModelEvaluation", root / run, {})])
        store.execute(run, "Judge", [("ModelBlessing", root, {"blessed": 1 - number})])
        pushed = [("PushedModel", root, {"pushed_version": "17"})] if not number else []
        store.execute(run, "Pusher", pushed)
        store.execute(run, "ModelCard", parameters={"config": json.dumps(config)})
        config = {**CONFIG, "trainer": {"epochs": 50, "learning_rate": 0.003, "seed": 7}}
    return root


@pytest.fixture(scope="module")
def compared(ask, root):
    done = ask("compare", "1", "-1", "--json", "--set", f"run.workspace={root}")
    return json.loads(done.stdout)


def change(compared, part, name, metric="auc"):
    return next(
        each for each in compared[part] if (each["slice"], each["metric"]) == (name, metric)
    )


def test_figures_stand_side_by_side_with_difference_and_intervals(compared):
    overall = change(compared, "figures", "overall")
    assert overall["before"] == {"value": 0.8, "interval": [0.78, 0.82], "pairs": 100}
    assert overall["after"]["value"] == 0.86
    assert overall["difference"] == pytest.approx(0.06)
    half = math.hypot(0.02, 0.02)
    assert overall["difference_interval"] == pytest.approx([0.06 - half, 0.06 + half])
    assert (overall["is_better"], overall["is_clear"]) == (True, True)


def test_a_change_within_its_interval_is_not_clear(compared):
    hard = change(compared, "figures", "against:hard")
    assert (hard["is_better"], hard["is_clear"]) == (True, False)


@pytest.mark.parametrize(("difference", "is_clear"), [(0.049, False), (0.051, True)])
def test_intervals_may_overlap_and_the_change_be_clear(difference, is_clear):
    """The standard error of a difference is the root of the sum of squares: 0.05 of 0.03, 0.04."""
    one = SliceFigures("overall", {"auc": 0.8}, {"auc": (0.77, 0.83)})
    value = 0.8 + difference
    other = SliceFigures("overall", {"auc": value}, {"auc": (value - 0.04, value + 0.04)})
    for pair, is_better in ((one, other), True), ((other, one), False):
        made = comparison.Change("auc", *pair)
        assert (made.is_clear, made.is_better) == (is_clear, is_better)


def test_an_interval_that_the_metrics_range_cuts_off_counts_with_its_whole_width():
    perfect = SliceFigures("overall", {"auc": 1.0}, {"auc": (0.97, 1.0)})
    near = SliceFigures("overall", {"auc": 0.97}, {"auc": (0.93, 1.0)})
    interval = comparison.difference_interval("auc", perfect, near)
    assert interval == pytest.approx((-0.03 - 0.05, -0.03 + 0.05))


def test_equal_figures_are_neither_better_nor_worse(ask, root):
    done = ask("compare", "2", "2", "--json", "--set", f"run.workspace={root}")
    overall = change(json.loads(done.stdout), "figures", "overall")
    assert (overall["is_better"], overall["is_clear"]) == (None, False)


def test_a_figure_of_which_neither_is_better_is_neither():
    assert comparison.is_better("mean_prediction", 0.1) is None
    assert comparison.is_better("of_another_release", 0.1) is None


def test_a_higher_ece_is_worse(compared):
    ece = change(compared, "figures", "overall", "ece")
    assert (ece["is_better"], ece["is_clear"]) == (False, True)


def test_the_slices_that_changed_most_come_first(compared):
    """Without those of one run only, too small ones, and those with one label."""
    shown = [each["slice"] for each in compared["slices"]]
    assert shown[0] == "color:blue"
    assert set(shown[1:]) == {"color:red", "against:hard", "against:random"}
    assert change(compared, "slices", "color:blue")["difference"] == pytest.approx(-0.3)
    assert change(compared, "slices", "color:blue")["is_clear"] is None


def test_differences_of_the_configuration_are_named(compared):
    assert compared["config"] == {
        "trainer.epochs": {"before": 30, "after": 50},
        "trainer.seed": {"before": None, "after": 7},
    }


def test_data_blessing_and_push_are_told(compared):
    one, other = compared["runs"]
    assert (one["data"], other["data"]) == ("datasets/v0", "datasets/v1")
    assert compared["same_data"] is False
    assert (one["blessed"], other["blessed"]) == (True, False)
    assert (one["pushed_version"], other["pushed_version"]) == ("17", None)


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_tables_fit_the_terminal(ask, root, width):
    done = ask("compare", "1", "2", "--set", f"run.workspace={root}", width=width)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for shown in ("0.800±0.020", "0.860±0.020", "*+0.060±0.028", " +0.050±0.141", "trainer.epochs"):
        assert shown in text
    assert ("v1" in text) and ("not the same files" in text or width < 80)


def test_a_run_with_itself_has_no_differences(ask, root):
    done = ask("compare", "2", "2", "--set", f"run.workspace={root}")
    assert "Same configuration." in done.stdout
    assert "not the same files" not in done.stdout


def test_of_a_run_that_stopped_early_the_training_is_compared(support, tmp_path):
    store = support.Store(tmp_path / "metadata.sqlite")
    told = {"trainer": {"epochs": 5}, "code": "abc", "attributes": ["color"]}
    store.execute("one", "Trainer", parameters={"custom_config": json.dumps(told)})
    store.execute("two", "ModelCard", parameters={"config": json.dumps(CONFIG)})
    runs = Metadata(tmp_path / "metadata.sqlite").runs()
    assert comparison.configuration_changes(*runs) == {"trainer.epochs": (5, 30)}
    assert comparison.is_same_data(*runs) is None


def test_an_unknown_run_is_told_with_those_there_are(ask, root):
    with pytest.raises(DexmatchError, match=r"run 9: no such run; runs: 2 \("):
        ask("compare", "1", "9", "--set", f"run.workspace={root}")


def test_the_metric_must_exist(ask, root):
    with pytest.raises(DexmatchError, match="no such figure"):
        ask("compare", "1", "2", "--sort", "auk", "--set", f"run.workspace={root}")


def test_real_figures_are_read(root):
    assert load(str(root / RUNS[0])).slice("overall").figures["auc"] == 0.8

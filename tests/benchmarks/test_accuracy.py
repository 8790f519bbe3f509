import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import accuracy
from benchmarks.accuracy import DEXMATCH, RANDOM_WEIGHTS, SEED_RECIPE, Measured, Notebook
from benchmarks.judging import Pairs, Trained
from core import config as configs

RUN = Measured("demo", DEXMATCH, 1, "abc", {"auc": 0.9}, 12.0, [(6.0, 0.8), (12.0, 0.9)])

LOG = """\
2026-11-24 10:00:00,500 INFO absl: Component Transform is running.
2026-11-24 10:00:01,000 INFO dexmatch: epoch 9 of 9: val_auc 0.999
2026-11-24 10:01:00,000 INFO absl: Component Trainer is running.
a line of its own kind
2026-11-24 10:01:30,500 INFO dexmatch: epoch 1 of 2: loss 0.7, val_auc 0.612, val_loss 0.7
2026-11-24 10:02:00,000 INFO dexmatch: epoch 2 of 2: loss 0.6, val_auc 0.750, val_loss 0.6
2026-11-24 10:02:05,000 INFO absl: Component Trainer is finished.
"""


def test_the_validation_curve_counts_from_the_trainers_start():
    assert accuracy.validation_curve(LOG) == [(30.5, 0.612), (60.0, 0.75)]


def test_the_validation_curve_knows_both_orchestrators_logs():
    log = LOG.replace("Component Trainer is running", "node Trainer is running")
    assert accuracy.validation_curve(log) == [(30.5, 0.612), (60.0, 0.75)]


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio"),
    [
        # Reached in passing, in the second epoch; theirs falls after its best.
        ([(10, 0.5), (20, 0.7), (30, 0.9)], [(50, 0.5), (80, 0.65), (120, 0.6)], 20 / 80),
        ([(10, 0.5)], [(50, 0.6)], None),
        ([], [(50, 0.6)], None),
        ([(10, 0.5)], [], None),
    ],
)
def test_the_time_ratio_is_that_to_the_seed_recipes_best(ours, theirs, ratio):
    assert accuracy.time_ratio(ours, theirs) == ratio


def test_the_spread_is_mean_least_and_greatest():
    assert accuracy.spread([0.5, 0.9, 0.7]) == "0.700\n0.500–0.900"
    assert accuracy.spread([2.0], digits=1) == "2.0\n2.0–2.0"
    assert accuracy.spread([]) == "-\n-"


def test_runs_are_written_down_as_they_end_and_taken_over(tmp_path):
    file = tmp_path / "runs.json"
    Notebook(file, file).add(RUN)
    later = Notebook(file, file)
    assert later.find("demo", DEXMATCH, 1, "abc")
    (taken,) = later.runs
    assert dataclasses.asdict(taken)["figures"] == RUN.figures
    assert accuracy.time_to(taken.curve, 0.9) == 12.0


@pytest.mark.parametrize(
    "other",
    [
        ("demo", DEXMATCH, 1, "other"),
        ("demo", DEXMATCH, 2, "abc"),
        ("demo", SEED_RECIPE, 1, "abc"),
        ("mine", DEXMATCH, 1, "abc"),
    ],
)
def test_a_run_of_anything_else_is_not_taken_over(tmp_path, other):
    file = tmp_path / "runs.json"
    Notebook(None, file).add(RUN)
    later = Notebook(file, None)
    assert not later.find(*other)
    assert later.runs == []


def test_what_was_written_down_stays_when_other_runs_come(tmp_path):
    file = tmp_path / "runs.json"
    Notebook(None, file).add(RUN)
    Notebook(file, file).add(dataclasses.replace(RUN, seed=2))
    assert sorted(run["seed"] for run in json.loads(file.read_text("utf-8"))) == [1, 2]


@pytest.fixture
def digest_of_data(monkeypatch):
    """A data set of which nothing but its digest matters."""
    monkeypatch.setattr(accuracy, "_data", lambda config: ("data", "code"))


def test_settings_tell_apart_all_but_seed_and_place(digest_of_data):
    plain = configs.load()
    same = configs.load(None, ["trainer.seed=3", "run.workspace=x", "data.dataset=y"])
    other = configs.load(None, ["trainer.epochs=3"])
    settings = accuracy.settings_of
    assert settings(plain) == settings(same) != settings(other)


def test_settings_of_the_seed_recipe_ignore_what_it_does_not_use(digest_of_data):
    plain, other = configs.load(), configs.load(None, ["trainer.epochs=3"])
    settings = accuracy.settings_of_seed_recipe
    assert settings(plain, {}) == settings(other, {})
    assert settings(plain, {}) != settings(plain, {"size": 32})
    assert settings(plain, {}) != settings(configs.load(None, ["pairs.seed=8"]), {})


def test_seeds_are_run_once_each():
    assert accuracy.seeds("3,1,3") == [3, 1]
    assert accuracy.seeds("") == []


def test_the_recipe_from_random_weights_is_a_system_of_its_own(digest_of_data, monkeypatch):
    started = []

    def apart(function, config, *_):
        started.append((config.model.weights, config.trainer.seed))
        return Trained({"auc_random": 0.9}, 12.0, [])

    monkeypatch.setattr(accuracy, "apart", apart)
    monkeypatch.setattr(accuracy.datasets, "load", lambda _: SimpleNamespace(path=Path("demo")))
    given = ["--data", "folder", "recipe", "--seeds=1,2", "--random-weights-seeds=2"]
    monkeypatch.setattr("sys.argv", ["accuracy", *given, "--seed-recipe-seeds="])
    notebook = Notebook(None, None)
    accuracy.measure(configs.load(None, ["model.weights=imagenet"]), accuracy.parse(), notebook)
    assert started == [("imagenet", 1), ("imagenet", 2), ("none", 2)]
    assert [(run.system, run.seed) for run in notebook.runs] == [
        (DEXMATCH, 1),
        (DEXMATCH, 2),
        (RANDOM_WEIGHTS, 2),
    ]


def test_the_table_shows_every_system_and_a_data_set_without_a_bar(capsys):
    runs = [
        RUN,
        dataclasses.replace(RUN, system=SEED_RECIPE, curve=[(100.0, 0.95)]),
        dataclasses.replace(RUN, data="mine"),
    ]
    accuracy.show(runs)
    accuracy.show_ratios(runs)
    printed = capsys.readouterr().out
    for text in ("demo", "mine", DEXMATCH, SEED_RECIPE, "the bar", "missed by 1 of 1"):
        assert text in printed, text


class Lengths(tf.Module):
    """Answers with a number made of both inputs."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "image"),
            tf.TensorSpec([None], tf.string, "caption"),
        ]
    )
    def score(self, image, caption):
        size = tf.strings.length(image) * 10 + tf.strings.length(caption)
        return {"probability": tf.cast(size, tf.float32)[:, tf.newaxis] / 1000.0}


def test_serving_default_is_asked_in_batches_and_in_order(tmp_path, monkeypatch):
    model = Lengths()
    tf.saved_model.save(model, str(tmp_path), signatures=model.score)
    monkeypatch.setattr(accuracy, "_BATCH_SIZE", 2)
    images, captions = [b"a", b"bb", b"ccc"], ["x", "xx", "xxxx"]
    pairs = Pairs(["g"] * 3, images, captions, np.ones(3), np.array(["matched"] * 3))
    found = accuracy.probabilities(tmp_path, pairs)
    np.testing.assert_allclose(found, [0.011, 0.022, 0.034], rtol=1e-6)

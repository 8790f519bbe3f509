"""The search through TFX's own executor; what a trial trains is stood in for."""

import json
import logging

import pytest
from tfx import v1 as tfx
from tfx.components.tuner import executor
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import proto_utils

from modules import hyperparameters, reporting, trainer, tuner
from pipeline import config as configs
from pipeline.errors import DexmatchError

SPACE = (
    'tuner.space={"trainer.learning_rate"=[0.001, 0.1, "log"], "model.word_dim"=[4, 64, "linear"], '
    '"model.recurrent"=["LSTM", "GRU"], "model.dropout"=[0, 0.5]}'
)


def settings(*overrides):
    tree = configs.load(None, [SPACE, "tuner.trials=4", *overrides]).model_dump(mode="json")
    sections = ("image", "caption", "model", "trainer", "augment", "tuner")
    return {name: tree[name] for name in sections}


def artifact(kind, folder):
    folder.mkdir(parents=True, exist_ok=True)
    made = kind()
    made.uri = str(folder)
    return made


def tune(folder, *overrides):
    """Runs the executor; returns the best hyperparameters and all results."""
    examples = artifact(standard_artifacts.Examples, folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train", "val"])
    for split in ("train", "val"):
        (folder / "examples" / f"Split-{split}").mkdir(exist_ok=True)
    best = artifact(standard_artifacts.HyperParameters, folder / "best")
    results = artifact(standard_artifacts.TunerResults, folder / "results")
    context = executor.Executor.Context(tmp_dir=str(folder / "tmp"), unique_id="1")
    executor.Executor(context).Do(
        {"examples": [examples]},
        {"best_hyperparameters": [best], "tuner_results": [results]},
        {
            "tuner_fn": "modules.tuner.tuner_fn",
            "train_args": proto_utils.proto_to_json(tfx.proto.TrainArgs(splits=["train"])),
            "eval_args": proto_utils.proto_to_json(tfx.proto.EvalArgs(splits=["val"])),
            "custom_config": json.dumps(settings(*overrides)),
        },
    )
    found = json.loads((folder / "best" / "best_hyperparameters.txt").read_text())
    return found, json.loads((folder / "results" / "tuner_results.json").read_text())


@pytest.fixture(autouse=True)
def _no_session(monkeypatch):
    """Nothing is built here that would have to be cleared, and clearing takes its time."""
    monkeypatch.setattr(tuner.keras.utils, "clear_session", lambda: None)


@pytest.fixture
def trials(monkeypatch):
    """The configurations that were tried; the nearer the learning rate to 0.02, the better."""
    tried = []

    def train(config, fn_args, folders):
        assert folders.checkpoints.startswith(fn_args.working_dir)
        assert fn_args.train_files[0].endswith("Split-train/*")
        assert fn_args.eval_files[0].endswith("Split-val/*")
        tried.append(config)
        reporting.report("epoch 1", 1, 2, logging.INFO)
        val_auc = 1 - abs(config["trainer"]["learning_rate"] - 0.02)
        return trainer.Trained(model=None, attributes={}, val_auc=val_auc)

    monkeypatch.setattr(trainer, "train", train)
    return tried


def test_the_best_trial_wins_and_reaches_the_trainer(trials, tmp_path):
    found, results = tune(tmp_path)
    rates = [config["trainer"]["learning_rate"] for config in trials]
    assert len(set(rates)) == len(results) == 4
    config = hyperparameters.applied(settings("trainer.epochs=9"), found)
    assert config["trainer"]["learning_rate"] == min(rates, key=lambda rate: abs(rate - 0.02))
    assert config["trainer"]["epochs"] == 9
    assert config["image"] == settings()["image"]


def test_trials_stay_inside_the_space_and_are_short(trials, tmp_path):
    tune(tmp_path, "tuner.epochs=2", "tuner.trials=12")
    for config in trials:
        assert 0.001 <= config["trainer"]["learning_rate"] <= 0.1
        assert config["model"]["word_dim"] in range(4, 65)
        assert config["model"]["dropout"] in (0, 0.5)
        assert config["trainer"]["epochs"] == 2
    assert {config["model"]["recurrent"] for config in trials} == {"LSTM", "GRU"}


def test_the_same_seed_tries_the_same(trials, tmp_path):
    for number, seed in enumerate((1, 1, 2)):
        tune(tmp_path / str(number), f"tuner.seed={seed}")
    assert trials[:4] == trials[4:8] != trials[8:]


def test_the_progress_counts_trials(trials, tmp_path, caplog):
    with caplog.at_level(logging.INFO, reporting.LOGGER):
        tune(tmp_path)
    told = [record for record in caplog.records if hasattr(record, reporting.PROGRESS)]
    assert [record.getMessage() for record in told] == [
        f"trial {number} of 4, epoch 1" for number in (1, 2, 3, 4)
    ]
    assert [record.progress for record in told] == [(1, 8), (3, 8), (5, 8), (7, 8)]


def test_a_trial_that_breaks_leaves_the_others_alone(trials, tmp_path, monkeypatch):
    works, calls = trainer.train, []

    def sometimes(config, fn_args, folders):
        calls.append(config)
        if len(calls) == 1:
            raise DexmatchError("the loss became NaN")
        return works(config, fn_args, folders)

    monkeypatch.setattr(trainer, "train", sometimes)
    _, results = tune(tmp_path)
    assert len(results) == 3


@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_breaks_all_trials_is_told(monkeypatch, tmp_path, count):
    def train(config, fn_args, folders):
        raise DexmatchError("too few pairs")

    monkeypatch.setattr(trainer, "train", train)
    with pytest.raises(RuntimeError, match="DexmatchError: too few pairs"):
        tune(tmp_path, f"tuner.trials={count}")


def test_without_hyperparameters_nothing_changes():
    assert hyperparameters.applied(settings(), None) == settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainer.gone": 1}, "trainer.gone, which is no key any more"),
        ({"elsewhere.epochs": 1}, "elsewhere.epochs, which is no key any more"),
        ({"trainer.learning_rate": -1}, r"trainer\.learning_rate: .*\(got -1\)"),
    ],
)
def test_hyperparameters_of_another_time_are_refused_in_one_line(values, message):
    with pytest.raises(DexmatchError, match=message) as raised:
        hyperparameters.applied(settings(), {"values": values})
    assert "\n" not in str(raised.value)


def test_the_default_space_can_be_searched():
    declared = tuner.space(configs.TunerConfig())
    assert set(declared.values) == set(configs.TunerConfig().space)

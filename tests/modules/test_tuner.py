"""The search through TFX's own executor; what a trial trains is stood in for."""

import itertools
import logging

import pytest

from core import config as configs
from core import reporting
from core.errors import DexmatchError
from modules import trainer, tuner
from modules.training import hyperparameters

pytestmark = pytest.mark.slow

SPACE = (
    'tuner.space={"trainer.learning_rate"=[0.001, 0.1, "log"], "model.word_dim"=[4, 64, "linear"], '
    '"model.recurrent"=["LSTM", "GRU"], "model.dropout"=[0, 0.5]}'
)


@pytest.fixture
def settings(runs):
    """The sections that the Tuner is handed, for the space above and four trials."""

    def made(*overrides):
        return runs.settings(SPACE, "tuner.trials=4", *overrides)

    return made


@pytest.fixture
def tune(runs, settings, tmp_path):
    """Runs the executor; returns the best hyperparameters and all results."""
    numbers = itertools.count()

    def tuned(*overrides, checkpoints=None):
        # As in TFX, each execution has folders of its own.
        own = tmp_path / str(next(numbers))
        return runs.tune(own, settings(*overrides), checkpoints or own / "checkpoints")

    return tuned


@pytest.fixture(autouse=True)
def _no_session(monkeypatch):
    """Nothing is built here that would have to be cleared, and clearing takes its time."""
    monkeypatch.setattr(tuner.keras.utils, "clear_session", lambda: None)


@pytest.fixture
def trials(monkeypatch):
    """The configurations that were tried; the nearer the learning rate to 0.02, the better."""
    tried = []

    def train(config, fn_args, folders):
        assert fn_args.train_files[0].endswith("Split-train/*")
        assert fn_args.eval_files[0].endswith("Split-val/*")
        tried.append({name: config[name] for name in configs.TUNED})
        reporting.report("epoch 1", 1, 2, logging.INFO)
        val_auc = 1 - abs(config["trainer"]["learning_rate"] - 0.02)
        return trainer.TrainedModel(model=None, setup=None, val_auc=val_auc)

    monkeypatch.setattr(trainer, "train", train)
    return tried


def test_the_best_trial_wins_and_reaches_the_trainer(trials, tune, settings):
    found, results = tune()
    rates = [config["trainer"]["learning_rate"] for config in trials]
    assert len(set(rates)) == len(results) == 4
    config = hyperparameters.apply_hyperparameters(settings("trainer.epochs=9"), found)
    assert config["trainer"]["learning_rate"] == min(rates, key=lambda rate: abs(rate - 0.02))
    assert config["trainer"]["epochs"] == 9
    assert config["image"] == settings()["image"]


def test_trials_stay_inside_the_space_and_are_short(trials, tune):
    tune("tuner.epochs=2", "tuner.trials=12", "trainer.calibration_folds=3")
    for config in trials:
        assert 0.001 <= config["trainer"]["learning_rate"] <= 0.1
        assert config["model"]["word_dim"] in range(4, 65)
        assert config["model"]["dropout"] in (0, 0.5)
        assert config["trainer"]["epochs"] == 2
        assert config["trainer"]["calibration_folds"] == 0
    assert {config["model"]["recurrent"] for config in trials} == {"LSTM", "GRU"}


def test_the_same_seed_tries_the_same(trials, tune):
    for seed in (1, 1, 2):
        tune(f"tuner.seed={seed}")
    assert trials[:4] == trials[4:8] != trials[8:]


def test_what_ended_in_an_earlier_run_is_not_done_again(trials, tune, tmp_path, caplog):
    caplog.set_level(logging.INFO, reporting.LOGGER)
    whole = tune()
    assert len(trials) == 4
    works = trainer.train

    def stopped(config, fn_args, folders):
        if len(trials) == 6:
            raise KeyboardInterrupt
        return works(config, fn_args, folders)

    shared = tmp_path / "shared"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "train", stopped)
        with pytest.raises(KeyboardInterrupt):
            tune(checkpoints=shared)
    caplog.clear()
    assert tune(checkpoints=shared) == whole
    assert trials[4:] == trials[:4]
    said = [record.getMessage() for record in caplog.records]
    for number, is_known in ((1, True), (2, True), (3, False)):
        assert (f"trial {number} of 4 ended in an earlier run" in said) == is_known

    # Another tuning has nothing to do with it.
    tune("tuner.seed=1", checkpoints=shared)
    assert len(trials) == 12


def test_an_interrupted_tuning_goes_on_and_finds_the_same(
    runs, tiny_backbone, transformed, settings, tmp_path, caplog
):
    """With real trainings: the one that was interrupted in its second epoch goes on as well."""
    caplog.set_level(logging.INFO, reporting.LOGGER)
    short = settings("tuner.trials=2", "tuner.epochs=2")

    def tune(name, shared):
        return runs.tune(tmp_path / name, short, tmp_path / shared, transformed)

    with runs.interrupted(1, 1):
        tune("begun", "shared")
    caplog.clear()
    found, results = tune("resumed", "shared")
    assert "trial 1 of 2 ended in an earlier run" in caplog.text
    assert "trial 2 of 2, resuming after epoch 1 of 2" in caplog.text
    assert (found, results) == tune("whole", "others")
    assert len(results) == 2


def test_the_progress_counts_trials(trials, tune, caplog):
    with caplog.at_level(logging.INFO, reporting.LOGGER):
        tune()
    told = [record for record in caplog.records if hasattr(record, reporting.PROGRESS)]
    assert [record.getMessage() for record in told] == [
        f"trial {number} of 4, epoch 1" for number in (1, 2, 3, 4)
    ]
    assert [record.progress for record in told] == [(1, 8), (3, 8), (5, 8), (7, 8)]


def test_a_trial_that_breaks_leaves_the_others_alone(trials, tune, monkeypatch):
    works, calls = trainer.train, []

    def sometimes(config, fn_args, folders):
        calls.append(config)
        if len(calls) == 1:
            raise DexmatchError("the loss became NaN")
        return works(config, fn_args, folders)

    monkeypatch.setattr(trainer, "train", sometimes)
    _, results = tune()
    assert len(results) == 3


@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_breaks_all_trials_is_told(monkeypatch, tune, count):
    def train(config, fn_args, folders):
        raise DexmatchError("too few pairs")

    monkeypatch.setattr(trainer, "train", train)
    with pytest.raises(RuntimeError, match="DexmatchError: too few pairs"):
        tune(f"tuner.trials={count}")


def test_without_hyperparameters_nothing_changes(settings):
    assert hyperparameters.apply_hyperparameters(settings(), None) == settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainer.gone": 1}, "trainer.gone, which is no key any more"),
        ({"elsewhere.epochs": 1}, "elsewhere.epochs, which is no key any more"),
        ({"trainer.learning_rate": -1}, r"trainer\.learning_rate: .*\(got -1\)"),
    ],
)
def test_hyperparameters_of_another_time_are_refused_in_one_line(settings, values, message):
    with pytest.raises(DexmatchError, match=message) as raised:
        hyperparameters.apply_hyperparameters(settings(), {"values": values})
    assert "\n" not in str(raised.value)


def test_the_default_space_can_be_searched():
    declared = tuner.space(configs.TunerConfig())
    assert set(declared.values) == set(configs.TunerConfig().space)

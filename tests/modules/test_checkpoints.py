"""A training that is killed with SIGKILL, and the one that goes on."""

import logging
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from core.errors import DexmatchError
from modules.training import checkpoints

pytestmark = pytest.mark.slow

# Something of everything that has a state: dropout, augmentation, a schedule, EarlyStopping with
# its best weights from an earlier epoch.
EPOCHS = (
    "trainer.epochs=4",
    "trainer.early_stopping_from=0.25",
    "trainer.learning_rate=0.02",
    "model.dropout=0.3",
    'model.caption_pooling="max"',
    "trainer.warmup_epochs=1",
    "trainer.weight_decay=0.02",
    "augment.flip=true",
    "augment.rotation=0.1",
)


def folders(path):
    return [each.name for each in path.iterdir()] if path.exists() else []


def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(
    runs, tiny_backbone, transformed, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="dexmatch")
    shared = tmp_path / "checkpoints"
    killed = runs.run_in_a_process(
        transformed, tmp_path / "killed", *EPOCHS, kill=(0, 2), check=False, checkpoints=str(shared)
    )
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    assert not (tmp_path / "killed" / "serving").exists()
    assert len(folders(shared)) == 1

    resumed = runs.train(transformed, tmp_path / "resumed", *EPOCHS, checkpoints=shared)
    assert "resuming after epoch 2 of 4" in caplog.text
    told = [f"epoch {number} of 4: " in caplog.text for number in (1, 2, 3, 4)]
    assert told == [False, False, True, True]
    assert folders(shared) == []

    caplog.clear()
    runs.assert_same(resumed, runs.train(transformed, tmp_path / "whole", *EPOCHS))
    assert "resuming" not in caplog.text


def test_the_place_follows_from_what_decides_the_training(tmp_path):
    def place(epochs=3, content=b"rows", name="a"):
        file = tmp_path / name
        file.write_bytes(content)
        return checkpoints.folder_for("root", {"trainer": {"epochs": epochs}}, [str(file)])

    assert place() == place()
    assert place(name="b") == place()  # Beam may name its files anew.
    assert place(epochs=4) != place()
    assert place(content=b"others") != place()


def test_other_trainings_make_room(tmp_path):
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    checkpoints.remove_others(str(tmp_path / "own"))
    assert folders(tmp_path) == ["own"]
    checkpoints.remove_others(str(tmp_path / "nowhere" / "own"))


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    built = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])
    built.compile(optimizer="adam", loss="mse")
    return built


def fit(model, folder, epochs, patience=9, **options):
    """Trains against noise, where the first epoch's weights may well stay the best."""
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=patience, **options)
    checkpointing = checkpoints.Checkpoints(str(folder), stopping, epochs)
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 2), np.float32)
    history = model.fit(
        x,
        y,
        validation_data=(x, 1 - y),  # Each step towards 0 is one away from 1.
        epochs=epochs,
        initial_epoch=checkpointing.epochs_done,
        verbose=0,
        callbacks=[stopping, checkpointing],
    )
    return history.epoch, stopping


def test_the_memory_of_early_stopping_is_kept(model, tmp_path):
    options = {"restore_best_weights": True, "mode": "max"}
    _, before = fit(model, tmp_path, 3, **options)
    wait, best = before.wait, before.best
    epochs, after = fit(model, tmp_path, 4, **options)
    assert epochs == [3]
    assert after.best_epoch in (before.best_epoch, 3)
    assert after.best >= best
    assert after.wait in (0, wait + 1)


def test_there_is_nothing_to_remember_before_the_first_watched_epoch(model, tmp_path):
    options = {"restore_best_weights": True, "start_from_epoch": 2}
    fit(model, tmp_path, 1, **options)
    epochs, after = fit(model, tmp_path, 3, **options)
    assert epochs == [1, 2]
    assert after.best_epoch == 2


def test_a_training_that_early_stopping_ended_is_not_taken_up_again(model, tmp_path):
    options = {"patience": 1, "restore_best_weights": True, "min_delta": 1e9}
    epochs, before = fit(model, tmp_path, 9, **options)
    assert epochs == [0, 1]
    best = model.get_weights()
    keras.utils.set_random_seed(2)
    for weight in model.weights:
        weight.assign(tf.zeros_like(weight))
    epochs, after = fit(model, tmp_path, 9, **options)
    assert epochs == []
    assert after.best == before.best
    for one, other in zip(model.get_weights(), best, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(model, tmp_path, monkeypatch):
    fit(model, tmp_path, 1, restore_best_weights=True)
    weights = model.get_weights()

    def torn(self, *_, **__):
        (tmp_path / "ckpt-2.data-00000-of-00001.tempstate").write_bytes(b"half")
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(tf.train.CheckpointManager, "save", torn)
        with pytest.raises(InterruptedError):
            fit(model, tmp_path, 2, restore_best_weights=True)
    fit(model, tmp_path, 1, restore_best_weights=True)
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_that_cannot_be_read_is_told_in_one_line(model, tmp_path):
    fit(model, tmp_path, 1, restore_best_weights=True)
    for file in tmp_path.glob("*.data*"):
        file.write_bytes(b"nothing like it")
    with pytest.raises(DexmatchError, match="cannot be read") as raised:
        fit(model, tmp_path, 2, restore_best_weights=True)
    assert "\n" not in str(raised.value)
    assert str(tmp_path) in str(raised.value)

"""A training that was killed goes on after its last whole epoch, and ends with the same weights.

Keras' BackupAndRestore keeps neither what EarlyStopping remembers nor the state of the random
generators, and it writes over its only copy. So this is TensorFlow's CheckpointManager, which puts
a new checkpoint beside the old one before it removes that.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core.errors import DexmatchError

ROOT = "checkpoints"
"""Key of `custom_config`: the folder that holds one folder for each unfinished training."""


def folder_for(root: str, decisive: Mapping[str, Any], files: Iterable[str]) -> str:
    """The place of a training's checkpoints; the same for a run that trains the same again.

    TFX gives the Trainer a new output folder in every execution, so checkpoints cannot lie there.

    Args:
      root: holds one folder a training.
      decisive: whatever decides the training beside the data; goes into JSON.
      files: whose content, not whose path, decides it too.
    """
    digest = hashlib.sha256()
    versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
    digest.update(json.dumps([versions, decisive], sort_keys=True).encode())
    # Sorted by content: the same data may come in files of other names.
    for content in sorted(_content_digest(file) for file in files):
        digest.update(content)
    return tf.io.gfile.join(root, digest.hexdigest()[:16])


def _content_digest(file: str) -> bytes:
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(file, "rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.digest()


def remove_others(folder: str) -> None:
    """Removes the checkpoints of other trainings: a workspace keeps one unfinished training."""
    root, _, own = folder.rpartition("/")
    for name in tf.io.gfile.listdir(root) if tf.io.gfile.isdir(root) else []:
        if name.rstrip("/") != own:
            tf.io.gfile.rmtree(tf.io.gfile.join(root, name))


def remove(folder: str) -> None:
    """Removes the checkpoints of a training that has ended well."""
    if tf.io.gfile.isdir(folder):
        tf.io.gfile.rmtree(folder)


@dataclass(frozen=True)
class BestEpoch:
    """The epoch of a stage that EarlyStopping found best.

    Attributes:
      figure: the monitored one, at the end of that epoch.
      weights: the model's at that time, as `get_weights` gives them.
    """

    figure: float
    weights: list[np.ndarray]

    @classmethod
    def from_early_stopping(cls, early_stopping: keras.callbacks.EarlyStopping) -> "BestEpoch":
        """What it remembers after at least one epoch that it watched."""
        return cls(float(early_stopping.best), early_stopping.best_weights)


def restore_best(folder: str, early_stopping: keras.callbacks.EarlyStopping) -> BestEpoch:
    """The best epoch of a stage that ended in an earlier run.

    Args:
      folder: where that stage's checkpoints are.
      early_stopping: one with the settings of that stage's; it is filled.

    Raises:
      DexmatchError: the checkpoint cannot be read.
    """
    checkpoint = tf.train.Checkpoint(memory=_EarlyStoppingState(early_stopping))
    _restore(checkpoint, folder, tf.train.latest_checkpoint(folder)).expect_partial()
    return BestEpoch.from_early_stopping(early_stopping)


def _restore(checkpoint: tf.train.Checkpoint, folder: str, path: str) -> Any:
    try:
        return checkpoint.restore(path)
    except (tf.errors.OpError, ValueError, IndexError) as error:
        raise DexmatchError(
            f"{folder}: this checkpoint of an unfinished training cannot be read "
            f"({str(error).splitlines()[0]}); remove the folder to train from the start"
        ) from error


class Checkpoints(keras.callbacks.Callback):
    """Saves the state of a training after every epoch, and restores it as the training begins.

    The state is every variable of model, optimizer and random generators that moves, the number of
    epochs done, and what EarlyStopping remembers. The order of the data is no state: it follows
    from the epoch's number, see `modules.training.inputs.training_pairs`.

    It must come last among the callbacks, after those whose state it keeps.

    Args:
      folder: where this training's checkpoints are looked for.
      early_stopping: the callback whose memory is kept.
      epochs: of the training in all.
      target: where they are written, if not to `folder`.
      still: variables of the model that do not move; whoever resumes has built them alike.

    Raises:
      DexmatchError: there is a checkpoint, but it cannot be read.
    """

    def __init__(
        self,
        folder: str,
        early_stopping: keras.callbacks.EarlyStopping,
        epochs: int,
        target: str | None = None,
        still: Sequence[keras.Variable] = (),
    ):
        super().__init__()
        self._still = {id(variable) for variable in still}
        self._folder = folder
        self._target = target or folder
        self._epochs = epochs
        self._memory = _EarlyStoppingState(early_stopping)
        self._done = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._latest = tf.train.latest_checkpoint(folder)
        if self._latest:
            _restore(tf.train.Checkpoint(done=self._done), folder, self._latest).expect_partial()

    @property
    def epochs_done(self) -> int:
        """Where to go on; all epochs if EarlyStopping has ended the training."""
        return int(self._done)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restores the latest checkpoint, if there is one."""
        self.model.optimizer.build(self.model.trainable_variables)
        variables = (*self.model.variables, *self.model.optimizer.variables)
        moving = [each.value for each in variables if id(each) not in self._still]
        checkpoint = tf.train.Checkpoint(done=self._done, memory=self._memory, variables=moving)
        if self._latest:
            _restore(checkpoint, self._folder, self._latest).assert_consumed()
        self._manager = tf.train.CheckpointManager(checkpoint, self._target, max_to_keep=1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves; a kill in the midst of it leaves the checkpoint before."""
        self._done.assign(self._epochs if self.model.stop_training else epoch + 1)
        self._manager.save(checkpoint_number=epoch + 1)


class _EarlyStoppingState(tf.train.experimental.PythonState):
    """What EarlyStopping knows after an epoch, as bytes."""

    _FIELDS = ("wait", "stopped_epoch", "best", "best_epoch")

    def __init__(self, early_stopping: keras.callbacks.EarlyStopping):
        self._callback = early_stopping

    def serialize(self) -> bytes:
        """For TensorFlow, as it saves."""
        buffer = io.BytesIO()
        fields = {
            name: getattr(self._callback, name)
            for name in self._FIELDS
            # There is no best before the first epoch that is watched.
            if getattr(self._callback, name) is not None
        }
        np.savez(buffer, *(self._callback.best_weights or ()), **fields)
        return buffer.getvalue()

    def deserialize(self, string_value: bytes) -> None:
        """For TensorFlow, as it restores."""
        # No pickle: arrays alone.
        with np.load(io.BytesIO(string_value), allow_pickle=False) as saved:
            fields = [name for name in self._FIELDS if name in saved.files]
            for name in fields:
                setattr(self._callback, name, saved[name].item())
            count = len(saved.files) - len(fields)
            if count:
                self._callback.best_weights = [saved[f"arr_{index}"] for index in range(count)]

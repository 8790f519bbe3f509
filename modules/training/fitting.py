"""The course of a training: stage by stage, epoch by epoch, and which weights are left."""

import contextlib
import logging
import tempfile
from dataclasses import dataclass, replace

import keras
import tensorflow as tf

from core import features, reporting
from core.config import AugmentConfig, TrainerConfig
from core.errors import DexmatchError
from modules.training import (
    callbacks,
    checkpoints,
    data_checks,
    distribution,
    frozen_backbone,
    inputs,
    stages,
    tensorboard,
    training,
)

_log = logging.getLogger(f"{reporting.LOGGER}.fitting")


@dataclass(frozen=True)
class Folders:
    """Where a training writes beside the model; each stage has a folder of its own in them.

    Attributes:
      checkpoints: state after every epoch.
      logs: for TensorBoard; None where nobody will look.
    """

    checkpoints: str
    logs: str | None

    def of(self, stage: stages.Stage) -> "Folders":
        """The folders of one stage."""
        join = tf.io.gfile.join
        logs = self.logs and join(self.logs, stage.name)
        return Folders(join(self.checkpoints, stage.name), logs)


@dataclass(frozen=True)
class Data:
    """Both splits, and how an epoch goes through them.

    Attributes:
      train: what `modules.training.inputs.pair_rows` returns for the training split.
      val: the same for the validation split.
      batch_size: pictures a step, over all replicas.
      steps: of an epoch.
    """

    train: tf.data.Dataset
    val: tf.data.Dataset
    batch_size: int
    steps: int


def prepare(
    train: tf.data.Dataset,
    val: tf.data.Dataset,
    settings: TrainerConfig,
    strategy: tf.distribute.Strategy,
) -> Data:
    """Checks the data, and cuts an epoch into batches that every replica gets an equal part of.

    Args:
      train: what `modules.training.inputs.pair_rows` returns for the training split.
      val: the same for the validation split.
      settings: the `trainer` section.
      strategy: how many replicas there are.

    Raises:
      DexmatchError: see `modules.training.data_checks.check` and `cut`.
    """
    return cut(train, val, data_checks.check(train, val, settings), settings, strategy)


def cut(
    train: tf.data.Dataset,
    val: tf.data.Dataset,
    pairs: int,
    settings: TrainerConfig,
    strategy: tf.distribute.Strategy,
) -> Data:
    """The same without the checks.

    Args:
      train: as in `prepare`.
      val: as in `prepare`.
      pairs: how many `train` has.
      settings: the `trainer` section.
      strategy: how many replicas there are.

    Raises:
      DexmatchError: there are too few pairs for the replicas.
    """
    replicas = strategy.num_replicas_in_sync
    batch_size = min(settings.batch_size, pairs) // replicas * replicas
    if batch_size < 2 * replicas:
        raise DexmatchError(
            f"trainer.batch_size = {settings.batch_size} and {pairs} pairs to train on are too few "
            f"for {replicas} replicas: each needs 2 images a step"
        )
    return Data(train, val, batch_size, pairs // batch_size)


@dataclass(frozen=True)
class Training:
    """One training, from its first stage to its last.

    Attributes:
      trainer: the model with its training step.
      data: what it learns from, and is watched on.
      settings: the `trainer` section.
      augmentation: the `augment` section.
      folders: where it writes.
      vocabulary: words in the order of their ids, to show captions by.
    """

    trainer: training.PairTrainer
    data: Data
    settings: TrainerConfig
    augmentation: AugmentConfig
    folders: Folders
    vocabulary: list[str]

    def run(self) -> None:
        """Goes through the stages, and leaves the weights of the one that ended best.

        A stage that an earlier run has left behind is not entered again; its best weights are still
        in its last checkpoint.

        Raises:
          DexmatchError: the loss became NaN, `trainer.trainable_blocks` does not fit the backbone,
            or a checkpoint cannot be read.
        """
        planned = stages.of(self.settings)
        begun = [
            index
            for index, stage in enumerate(planned)
            if tf.train.latest_checkpoint(self.folders.of(stage).checkpoints)
        ]
        first = max(begun, default=0)
        ended = [
            checkpoints.best(self.folders.of(stage).checkpoints, self._early_stopping(stage))
            for stage in planned[:first]
        ]
        ended += [self._stage(stage) for stage in planned[first:]]
        best = best_of(ended, self._mode)
        if best < len(ended) - 1:
            _log.warning(
                "%s ended with %s %.3f, worse than %.3f after %s, whose weights are kept",
                planned[-1].title,
                self.settings.monitor,
                ended[-1].figure,
                ended[best].figure,
                planned[best].title,
            )
            self.trainer.set_weights(ended[best].weights)

    def _stage(self, stage: stages.Stage) -> checkpoints.Best:
        """Trains until the monitored figure stops getting better, and leaves the best weights."""
        stage.freeze(self.trainer.model, self.settings)
        data = self._with_features() if stage.is_frozen else self.data
        shown = tensorboard.examples(self.data.val, data.val, self.vocabulary)
        folders = self.folders.of(stage)
        self._compile(stage)
        early_stopping = self._early_stopping(stage)
        with contextlib.ExitStack() as stack:
            # Every worker must take part in the saving; one of them keeps it.
            scratch = (
                None
                if distribution.is_chief()
                else stack.enter_context(tempfile.TemporaryDirectory())
            )
            checkpointing = checkpoints.Checkpoints(
                folders.checkpoints, early_stopping, stage.epochs, target=scratch
            )
            epochs_done = checkpointing.epochs_done
            self.trainer.fit(
                inputs.training_pairs(
                    data.train,
                    shown.pairs[features.TOKENS].shape[1],
                    data.batch_size,
                    hard_captions=1 if self.settings.hard_negative_share else 0,
                    seed=self.settings.seed,
                    first_epoch=epochs_done,
                ),
                validation_data=inputs.validation_pairs(data.val, data.batch_size),
                initial_epoch=epochs_done,
                epochs=stage.epochs,
                steps_per_epoch=data.steps,
                verbose=0,
                callbacks=[
                    callbacks.NotFinite(),
                    early_stopping,
                    callbacks.Progress(stage.title, stage.epochs, data.steps, epochs_done),
                    *self._watching(folders.logs, shown),
                    checkpointing,
                ],
            )
        return checkpoints.Best.of(early_stopping)

    def _with_features(self) -> Data:
        """The data with features of the frozen backbone in the place of pictures."""
        # An augmenter of its own, so that views are the same in a run that resumes.
        augment = training.augmenter(self.augmentation, self.settings.seed)
        encoder = frozen_backbone.Encoder(self.trainer.model.image_features, augment)

        def replaced(rows: tf.data.Dataset, views: int) -> tf.data.Dataset:
            return frozen_backbone.with_features(rows, encoder, self.data.batch_size, views)

        return replace(
            self.data,
            train=replaced(self.data.train, self.settings.frozen_views),
            val=replaced(self.data.val, 1),
        )

    def _compile(self, stage: stages.Stage) -> None:
        steps = self.data.steps
        schedule = training.WarmupSchedule(
            stage.learning_rate,
            stage.warmup_epochs * steps,
            stage.epochs * steps if self.settings.schedule == "cosine" else None,
        )
        with self.trainer.distribute_strategy.scope():
            optimizer = keras.optimizers.AdamW(schedule, weight_decay=self.settings.weight_decay)
            self.trainer.compile(optimizer=optimizer, jit_compile=False)

    def _watching(
        self, logs: str | None, shown: tensorboard.Examples
    ) -> list[keras.callbacks.Callback]:
        found: list[keras.callbacks.Callback] = []
        if self.trainer.distribute_strategy.num_replicas_in_sync > 1:
            found.append(distribution.CommonStatistics())
        if logs and distribution.is_chief():
            found.append(tensorboard.TensorBoard(logs, shown))
        return found

    def _early_stopping(self, stage: stages.Stage) -> keras.callbacks.EarlyStopping:
        early_stopping_from = int(self.settings.early_stopping_from * stage.epochs)
        return keras.callbacks.EarlyStopping(
            monitor=self.settings.monitor,
            mode=self._mode,
            patience=self.settings.patience,
            restore_best_weights=True,
            # The last epoch is watched in any case: what a stage ends with must have a figure.
            start_from_epoch=min(early_stopping_from, stage.epochs - 1),
        )

    @property
    def _mode(self) -> str:
        """Which way the monitored figure gets better."""
        return "max" if self.settings.monitor == "val_auc" else "min"


def best_of(ended: list[checkpoints.Best], mode: str) -> int:
    """Index of the stage with the best figure, the later one of equals.

    Args:
      ended: what each stage left, in their order.
      mode: "max" or "min", which is better.
    """
    sign = 1 if mode == "max" else -1
    return max(range(len(ended)), key=lambda index: (sign * ended[index].figure, index))

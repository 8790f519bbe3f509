"""Fits a model stage by stage, and leaves the weights of the stage that ended best."""

import contextlib
import logging
import tempfile
from dataclasses import dataclass

import keras
import tensorflow as tf

from core import reporting
from core.config import TrainerConfig
from modules.network.model import ATTRIBUTES, PairModel
from modules.training import (
    callbacks,
    checkpoints,
    distribution,
    inputs,
    optimizer,
    stages,
    tensorboard,
)
from modules.training.build import in_float32
from modules.training.checkpoints import BestEpoch
from modules.training.inputs import TrainingData
from modules.training.pair_trainer import PairTrainer
from modules.training.setup import TrainingSetup
from modules.training.stages import Stage

_log = logging.getLogger(f"{reporting.LOGGER}.fit")


@dataclass(frozen=True)
class Folders:
    """The folders that a training writes to, beside the model; each stage has its own in them.

    Attributes:
      checkpoints: state after every epoch.
      logs: for TensorBoard; None where nobody will look.
    """

    checkpoints: str
    logs: str | None

    def for_stage(self, stage: Stage) -> "Folders":
        """The folders of one stage."""
        join = tf.io.gfile.join
        logs = self.logs and join(self.logs, stage.name)
        return Folders(join(self.checkpoints, stage.name), logs)


def fit(
    trainer: PairTrainer, data: TrainingData, setup: TrainingSetup, folders: Folders
) -> PairModel:
    """Goes through the stages, and leaves the weights of the one that ended best.

    A stage that an earlier run has left behind is not entered again; its best weights are still in
    its last checkpoint.

    Args:
      trainer: the model with its training step.
      data: what it learns from, and is watched on.
      setup: what it was built with.
      folders: where to write.

    Returns:
      The trained model, computing in float32: what is calibrated and served.

    Raises:
      DexmatchError: the loss became NaN, `trainer.trainable_blocks` does not fit the backbone, or a
        checkpoint cannot be read.
    """
    settings = setup.config.trainer
    _adapt(trainer.model, data, setup)
    planned = stages.plan_stages(settings)
    begun = [
        index
        for index, stage in enumerate(planned)
        if tf.train.latest_checkpoint(folders.for_stage(stage).checkpoints)
    ]
    first = max(begun, default=0)
    ended = [
        checkpoints.restore_best(
            folders.for_stage(stage).checkpoints, _early_stopping(stage, settings)
        )
        for stage in planned[:first]
    ]
    ended += [_fit_stage(stage, trainer, data, setup, folders) for stage in planned[first:]]
    best = index_of_best(ended, _mode(settings))
    if best < len(ended) - 1:
        _log.warning(
            "%s ended with %s %.3f, worse than %.3f after %s, whose weights are kept",
            planned[-1].title,
            settings.monitor,
            ended[-1].figure,
            ended[best].figure,
            planned[best].title,
        )
        trainer.set_weights(ended[best].weights)
    return in_float32(trainer.model, setup)


def _adapt(model: PairModel, data: TrainingData, setup: TrainingSetup) -> None:
    """Sets what a model takes from the training split without learning it."""
    if setup.attributes:
        sizes = [len(values) for values in setup.attributes.values()]
        counts = inputs.count_attributes(data.pictures.train, sizes)
        model.matcher.get_layer(ATTRIBUTES).adapt(counts)


def _fit_stage(
    stage: Stage, trainer: PairTrainer, data: TrainingData, setup: TrainingSetup, folders: Folders
) -> BestEpoch:
    """Trains until the monitored figure stops getting better, and leaves the best weights."""
    settings = setup.config.trainer
    stage.freeze(trainer.model, settings)
    rows = data.features if stage.is_frozen and data.features else data.pictures
    shown = tensorboard.choose_examples(data.pictures.val, rows.val, setup.vocabulary)
    places = folders.for_stage(stage)
    with trainer.distribute_strategy.scope():
        trainer.compile(optimizer=optimizer.build_optimizer(stage, settings), jit_compile=False)
    early_stopping = _early_stopping(stage, settings)
    with contextlib.ExitStack() as stack:
        # Every worker must take part in the saving; one of them keeps it.
        scratch = (
            None if distribution.is_chief() else stack.enter_context(tempfile.TemporaryDirectory())
        )
        checkpointing = checkpoints.Checkpoints(
            places.checkpoints,
            early_stopping,
            stage.epochs,
            target=scratch,
            still=trainer.model.image_features.variables if stage.is_frozen else (),
        )
        epochs_done = checkpointing.epochs_done
        trainer.fit(
            inputs.training_pairs(
                rows.train,
                setup.config.caption.max_tokens,
                data.batch_size,
                hard_captions=1 if settings.hard_negative_share else 0,
                seed=settings.seed,
                first_epoch=epochs_done,
            ),
            validation_data=inputs.validation_pairs(rows.val, data.batch_size),
            initial_epoch=epochs_done,
            epochs=stage.epochs,
            steps_per_epoch=data.steps,
            verbose=0,
            callbacks=[
                optimizer.LearningRate(stage, data.steps, settings),
                callbacks.NotFinite(),
                early_stopping,
                callbacks.Progress(stage.title, stage.epochs, data.steps, epochs_done),
                *_watching(trainer, places.logs, shown),
                checkpointing,
            ],
        )
    return BestEpoch.from_early_stopping(early_stopping)


def _watching(
    trainer: PairTrainer, logs: str | None, shown: tensorboard.Examples
) -> list[keras.callbacks.Callback]:
    """What looks on, beside the callbacks that decide."""
    found: list[keras.callbacks.Callback] = []
    if trainer.distribute_strategy.num_replicas_in_sync > 1:
        found.append(distribution.CommonStatistics())
    if logs and distribution.is_chief():
        found += tensorboard.tensorboard_callbacks(logs, shown)
    return found


def _early_stopping(stage: Stage, settings: TrainerConfig) -> keras.callbacks.EarlyStopping:
    watched_from = int(settings.early_stopping_from * stage.epochs)
    return keras.callbacks.EarlyStopping(
        monitor=settings.monitor,
        mode=_mode(settings),
        patience=settings.patience,
        restore_best_weights=True,
        # The last epoch is watched in any case: what a stage ends with must have a figure.
        start_from_epoch=min(watched_from, stage.epochs - 1),
    )


def _mode(settings: TrainerConfig) -> str:
    """Which way the monitored figure gets better."""
    return "max" if settings.monitor == "val_auc" else "min"


def index_of_best(ended: list[BestEpoch], mode: str) -> int:
    """Index of the stage with the best figure, the later one of equals.

    Args:
      ended: the best epoch of each stage, in their order.
      mode: "max" or "min", which is better.
    """
    sign = 1 if mode == "max" else -1
    return max(range(len(ended)), key=lambda index: (sign * ended[index].figure, index))

"""The Trainer's `run_fn`: reads transformed examples, trains stage by stage, exports.

Same seed, same machine, same data: same weights, bit for bit, also after a kill in between. What
may differ elsewhere: another type of CPU, another number of threads or of replicas, or a GPU adds
floating-point numbers in another order (on one and the same GPU TensorFlow's op determinism holds
them in place, and refuses kernels that cannot); other releases of TensorFlow and Keras; and data
beyond the size that `modules.inputs` sorts, which come in the order of Beam's files.
"""

import logging
import math
import tempfile
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx

from modules import (
    calibration,
    callbacks,
    captions,
    checkpoints,
    data_checks,
    distribution,
    features,
    frozen_backbone,
    hyperparameters,
    inputs,
    model,
    preprocessing,
    reporting,
    signatures,
    stages,
    tensorboard,
    training,
    warm_start,
    weights,
)
from pipeline.config import AugmentConfig, CaptionConfig, ImageConfig, ModelConfig, TrainerConfig
from pipeline.errors import DexmatchError

_log = logging.getLogger(f"{reporting.LOGGER}.trainer")


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains the model and writes it to `fn_args.serving_model_dir`.

    Args:
      fn_args: TFX's arguments, see `train`; `hyperparameters`, where there are any, override
        `custom_config`, whose `checkpoints` is the folder where a training that was killed is
        looked for.

    Raises:
      DexmatchError: see `train`; or the hyperparameters are none of today's.
    """
    config = hyperparameters.applied(fn_args.custom_config, fn_args.hyperparameters)
    folder = checkpoints.folder_of(
        config[checkpoints.ROOT],
        {
            **{name: value for name, value in config.items() if name != checkpoints.ROOT},
            "base_model": fn_args.base_model,
        },
        _files([f"{fn_args.transform_graph_path}/transform_fn/assets/*"])
        + _files(fn_args.train_files)
        + _files(fn_args.eval_files),
    )
    if distribution.is_chief():
        checkpoints.remove_others(folder)
    trained = train(config, fn_args, Folders(checkpoints=folder, logs=fn_args.model_run_dir))
    if distribution.is_chief():
        signatures.save(trained.model, fn_args.serving_model_dir)
        architecture = ModelConfig(**config["model"])
        warm_start.note(fn_args.serving_model_dir, architecture, trained.attributes)
        checkpoints.remove(folder)
    else:  # Every worker must take part in the saving; one of them keeps it.
        with tempfile.TemporaryDirectory() as scratch:
            signatures.save(trained.model, scratch)


@dataclass(frozen=True)
class Folders:
    """Where a training writes beside the model; each stage has a folder of its own in them.

    Attributes:
      checkpoints: state after every epoch.
      logs: for TensorBoard.
    """

    checkpoints: str
    logs: str

    def of(self, stage: stages.Stage) -> "Folders":
        """The folders of one stage."""
        join = tf.io.gfile.join
        return Folders(join(self.checkpoints, stage.name), join(self.logs, stage.name))


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
      model: ready to be saved.
      attributes: what it reads from pictures and captions, and the values that it knows.
      val_auc: the highest validation AUC of all epochs; NaN if this process trained none.
    """

    model: signatures.ServingModel
    attributes: dict[str, list[str]]
    val_auc: float


def train(config: dict[str, Any], fn_args: tfx.components.FnArgs, folders: Folders) -> Trained:
    """Trains one model, for the Trainer or for a trial of the Tuner.

    Args:
      config: the sections `image`, `caption`, `model`, `trainer` and `augment` as dicts, and
        `attributes`, the metadata features that the model learns to read.
      fn_args: where the data are; `base_model` is where `model.weights = "last_blessed"` goes on
        from.
      folders: where to write.

    Raises:
      DexmatchError: the data are too few or too uniform to train on, the weights do not fit, or
        the loss became NaN.
    """
    image, caption = ImageConfig(**config["image"]), CaptionConfig(**config["caption"])
    architecture, settings = ModelConfig(**config["model"]), TrainerConfig(**config["trainer"])
    augmentation = AugmentConfig(**config["augment"])
    strategy = distribution.strategy(settings.strategy)
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    # Same seed, same machine: same weights.
    keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()

    vocabulary_file = transform.vocabulary_file_by_name(captions.VOCABULARY)
    words = transform.vocabulary_size_by_name(captions.VOCABULARY)
    vocabulary_size = captions.FIRST_WORD_ID + words
    spec = transform.transformed_feature_spec()
    data = _data(
        inputs.pair_rows(_files(fn_args.train_files), spec),
        inputs.pair_rows(_files(fn_args.eval_files), spec),
        settings,
        strategy,
    )
    attributes = _attributes(config, transform)
    with strategy.scope():
        pair_model = model.build(
            architecture,
            image.size,
            caption.max_tokens,
            vocabulary_size,
            [len(values) for values in attributes.values()],
        )
        trainer = training.PairTrainer(pair_model, vocabulary_size, settings, augmentation)
    if settings.frozen_epochs and architecture.weights == weights.NONE:
        _log.warning(
            'trainer.frozen_epochs = %d with model.weights = "%s": what stays frozen is random',
            settings.frozen_epochs,
            weights.NONE,
        )
    if architecture.weights == weights.LAST_BLESSED:
        warm_start.load(
            pair_model,
            fn_args.base_model,
            architecture,
            image.size,
            caption.max_tokens,
            vocabulary_file,
            attributes,
        )
    vocabulary = [word.decode() for word in transform.vocabulary_by_name(captions.VOCABULARY)]
    val_auc = _train(trainer, data, settings, augmentation, folders, vocabulary)
    if settings.calibrate:
        _calibrate(trainer, data)
    serving_model = signatures.ServingModel(
        pair_model, vocabulary_file, image.size, caption.max_tokens, architecture.embedding_dim
    )
    return Trained(serving_model, attributes, val_auc)


def _attributes(config: dict[str, Any], transform: tft.TFTransformOutput) -> dict[str, list[str]]:
    """Each attribute's name with its values in the training split, in the order of their ids."""
    names = [preprocessing.attribute_vocabulary(k) for k in range(len(config["attributes"]))]
    return {
        attribute: [value.decode() for value in transform.vocabulary_by_name(name)]
        for attribute, name in zip(config["attributes"], names, strict=True)
    }


def _calibrate(trainer: training.PairTrainer, data: "_Data") -> None:
    """Fits the matcher's last layer to the validation split."""
    pairs = inputs.validation_pairs(data.val, data.batch_size)
    logits, labels = [], []
    score = tf.function(lambda batch: trainer(batch, training=False))
    for batch, label in pairs:
        logits.append(score(batch).numpy())
        labels.append(label.numpy())
    scale, offset = calibration.fit(np.concatenate(logits), np.concatenate(labels))
    layer = trainer.model.matcher.get_layer(model.CALIBRATION)
    layer.scale.assign(scale)
    layer.offset.assign(offset)


def _files(patterns: list[str]) -> list[str]:
    return [file for pattern in patterns for file in sorted(tf.io.gfile.glob(pattern))]


@dataclass(frozen=True)
class _Data:
    """Both splits, and how an epoch goes through them."""

    train: tf.data.Dataset
    val: tf.data.Dataset
    batch_size: int
    steps: int


def _data(
    train: tf.data.Dataset,
    val: tf.data.Dataset,
    settings: TrainerConfig,
    strategy: tf.distribute.Strategy,
) -> _Data:
    pairs = data_checks.check(train, val, settings)
    replicas = strategy.num_replicas_in_sync
    batch_size = min(settings.batch_size, pairs) // replicas * replicas
    if batch_size < 2 * replicas:
        raise DexmatchError(
            f"trainer.batch_size = {settings.batch_size} and {pairs} pairs to train on are too few "
            f"for {replicas} replicas: each needs 2 images a step"
        )
    return _Data(train, val, batch_size, pairs // batch_size)


def _train(
    trainer: training.PairTrainer,
    data: _Data,
    settings: TrainerConfig,
    augmentation: AugmentConfig,
    folders: Folders,
    vocabulary: list[str],
) -> float:
    """Goes through the stages; one that an earlier run has left behind is passed over.

    Returns:
      The highest validation AUC.
    """
    planned = stages.of(settings)
    begun = [
        index
        for index, stage in enumerate(planned)
        if tf.train.latest_checkpoint(folders.of(stage).checkpoints)
    ]
    found: list[float] = []
    for stage in planned[max(begun, default=0) :]:
        stage.freeze(trainer.model, settings)
        if stage.is_frozen:
            stage_data = _with_features(trainer.model, data, settings, augmentation)
        else:
            stage_data = data
        shown = tensorboard.examples(data.val, stage_data.val, vocabulary)
        found += _fit(trainer, stage, stage_data, settings, shown, folders.of(stage))
    return max(found, default=math.nan)


def _with_features(
    pair_model: model.PairModel, data: _Data, settings: TrainerConfig, augmentation: AugmentConfig
) -> _Data:
    # One of its own, so that views are the same in a run that resumes.
    augment = training.augmenter(augmentation, settings.seed)
    encoder = frozen_backbone.Encoder(pair_model.image_features, augment)

    def replaced(rows: tf.data.Dataset, views: int) -> tf.data.Dataset:
        return frozen_backbone.with_features(rows, encoder, data.batch_size, views)

    return _Data(
        replaced(data.train, settings.frozen_views),
        replaced(data.val, 1),
        data.batch_size,
        data.steps,
    )


def _fit(
    trainer: training.PairTrainer,
    stage: stages.Stage,
    data: _Data,
    settings: TrainerConfig,
    shown: tensorboard.Examples,
    folders: Folders,
) -> list[float]:
    """Trains until the monitored figure stops getting better, and leaves the best weights.

    Returns:
      The validation AUC after each epoch.
    """
    schedule = training.WarmupSchedule(
        stage.learning_rate,
        stage.warmup_epochs * data.steps,
        stage.epochs * data.steps if settings.schedule == "cosine" else None,
    )
    with trainer.distribute_strategy.scope():
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay)
        trainer.compile(optimizer=optimizer, jit_compile=False)
    early_stopping = keras.callbacks.EarlyStopping(
        monitor=settings.monitor,
        mode="max" if settings.monitor == "val_auc" else "min",
        patience=settings.patience,
        restore_best_weights=True,
        start_from_epoch=int(settings.watched_from * stage.epochs),
    )
    # Every worker must take part in the saving; one of them keeps it.
    scratch = None if distribution.is_chief() else tempfile.mkdtemp()
    checkpointing = checkpoints.Checkpoints(
        folders.checkpoints, early_stopping, stage.epochs, target=scratch
    )
    epochs_done = checkpointing.epochs_done
    watching: list[keras.callbacks.Callback] = [
        callbacks.Progress(stage.title, stage.epochs, data.steps, epochs_done)
    ]
    if distribution.is_chief():
        watching.append(tensorboard.TensorBoard(folders.logs, shown))
    history = trainer.fit(
        inputs.training_pairs(
            data.train,
            shown.pairs[features.TOKENS].shape[1],
            data.batch_size,
            hard_captions=1 if settings.hard_share else 0,
            seed=settings.seed,
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
            *watching,
            checkpointing,
        ],
    )
    return list(history.history.get("val_auc", ()))

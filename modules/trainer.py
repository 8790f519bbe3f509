"""The Trainer's `run_fn`: reads transformed examples, trains stage by stage, exports.

Same seed, same machine, same data: same weights, bit for bit, also after a kill in between. What
may differ elsewhere: another type of CPU, another number of threads or of replicas, or a GPU adds
floating-point numbers in another order (on one and the same GPU TensorFlow's op determinism holds
them in place, and refuses kernels that cannot); other releases of TensorFlow and Keras; and data
beyond the size that `modules.inputs` sorts, which come in the order of Beam's files.
"""

import logging
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
    captions,
    checkpoints,
    distribution,
    fitting,
    hyperparameters,
    inputs,
    model,
    preprocessing,
    reporting,
    signatures,
    training,
    warm_start,
    weights,
)
from pipeline.config import AugmentConfig, CaptionConfig, ImageConfig, ModelConfig, TrainerConfig

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
    folder = checkpoints_folder(config, fn_args)
    if distribution.is_chief():
        checkpoints.remove_others(folder)
    trained = train(
        config, fn_args, fitting.Folders(checkpoints=folder, logs=fn_args.model_run_dir)
    )
    if distribution.is_chief():
        signatures.save(trained.model, fn_args.serving_model_dir)
        architecture = ModelConfig(**config["model"])
        warm_start.note(fn_args.serving_model_dir, architecture, trained.attributes)
        checkpoints.remove(folder)
    else:  # Every worker must take part in the saving; one of them keeps it.
        with tempfile.TemporaryDirectory() as scratch:
            signatures.save(trained.model, scratch)


def checkpoints_folder(config: dict[str, Any], fn_args: tfx.components.FnArgs) -> str:
    """Where a training, or a tuning, leaves what it needs to go on after a kill.

    Args:
      config: `custom_config` of the Trainer or the Tuner, with the hyperparameters in it.
      fn_args: where the data and the base model are.
    """
    return checkpoints.folder_of(
        config[checkpoints.ROOT],
        {
            **{name: value for name, value in config.items() if name != checkpoints.ROOT},
            "base_model": fn_args.base_model,
        },
        _files([f"{fn_args.transform_graph_path}/transform_fn/assets/*"])
        + _files(fn_args.train_files)
        + _files(fn_args.eval_files),
    )


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
      model: ready to be saved.
      attributes: what it reads from pictures and captions, and the values that it knows.
      val_auc: its AUC on the validation split, as the training measures it.
    """

    model: signatures.ServingModel
    attributes: dict[str, list[str]]
    val_auc: float


def train(
    config: dict[str, Any], fn_args: tfx.components.FnArgs, folders: fitting.Folders
) -> Trained:
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
    data = fitting.prepare(
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
    fitting.Training(trainer, data, settings, augmentation, folders, vocabulary).run()
    logits, labels = _judged(trainer, data)
    if settings.calibrate:
        _calibrate(pair_model, logits, labels)
    serving_model = signatures.ServingModel(
        pair_model, vocabulary_file, image.size, caption.max_tokens, architecture.embedding_dim
    )
    return Trained(serving_model, attributes, training.auc(logits, labels))


def _attributes(config: dict[str, Any], transform: tft.TFTransformOutput) -> dict[str, list[str]]:
    """Each attribute's name with its values in the training split, in the order of their ids."""
    names = [preprocessing.attribute_vocabulary(k) for k in range(len(config["attributes"]))]
    return {
        attribute: [value.decode() for value in transform.vocabulary_by_name(name)]
        for attribute, name in zip(config["attributes"], names, strict=True)
    }


def _judged(trainer: training.PairTrainer, data: fitting.Data) -> tuple[np.ndarray, np.ndarray]:
    """Logits, float32 [N], and labels, float32 [N], of the validation split."""
    pairs = inputs.validation_pairs(data.val, data.batch_size)
    score = tf.function(lambda batch: trainer(batch, training=False))
    judged = [(score(batch).numpy(), label.numpy()) for batch, label in pairs]
    logits, labels = zip(*judged, strict=True)
    return np.concatenate(logits), np.concatenate(labels)


def _calibrate(pair_model: model.PairModel, logits: np.ndarray, labels: np.ndarray) -> None:
    """Fits the matcher's last layer to what it said of the validation split."""
    scale, offset = calibration.fit(logits, labels)
    layer = pair_model.matcher.get_layer(model.CALIBRATION)
    layer.scale.assign(scale)
    layer.offset.assign(offset)


def _files(patterns: list[str]) -> list[str]:
    return [file for pattern in patterns for file in sorted(tf.io.gfile.glob(pattern))]

"""The Trainer's `run_fn`: reads transformed examples, trains stage by stage, exports.

Same seed, same machine, same data: same weights, bit for bit, also after a kill in between. What
may differ elsewhere: another type of CPU, another number of threads or of replicas, or a GPU adds
floating-point numbers in another order (on one and the same GPU TensorFlow's op determinism holds
them in place, and refuses kernels that cannot); other releases of TensorFlow and Keras; and data
beyond the size that `modules.training.inputs` sorts, which come in the order of Beam's files.
"""

import logging
import tempfile
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx

from core import reporting
from core.config import ModelConfig, PairsConfig
from modules.export import signatures
from modules.network import backbones, model
from modules.training import (
    calibration,
    checkpoints,
    cross_fitting,
    distribution,
    fitting,
    held_out,
    hyperparameters,
    inputs,
    training,
    warm_start,
)
from modules.training.learner import Learner

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
      config: the sections `pairs`, `image`, `caption`, `model`, `trainer` and `augment` as dicts,
        and `attributes`, the metadata features that the model learns to read.
      fn_args: where the data are; `base_model` is where `model.weights = "last_blessed"` goes on
        from.
      folders: where to write.

    Raises:
      DexmatchError: the data are too few or too uniform to train on or to calibrate by, the
        weights do not fit, or the loss became NaN.
    """
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    learner = Learner.of(config, transform, fn_args.base_model)
    # Same seed, same machine: same weights; the seed itself is set as each model is built.
    tf.config.experimental.enable_op_determinism()
    settings, architecture = learner.settings, learner.architecture
    spec = transform.transformed_feature_spec()
    data = fitting.prepare(
        inputs.pair_rows(_files(fn_args.train_files), spec),
        inputs.pair_rows(_files(fn_args.eval_files), spec),
        settings,
        learner.strategy,
    )
    hard_negatives = PairsConfig(**config["pairs"]).hard_negatives
    parts = cross_fitting.parts(data, learner, hard_negatives)
    if settings.frozen_epochs and architecture.weights == backbones.NO_WEIGHTS:
        _log.warning(
            'trainer.frozen_epochs = %d with model.weights = "%s": what stays frozen is random',
            settings.frozen_epochs,
            backbones.NO_WEIGHTS,
        )
    with reporting.part("", 0, 1 + len(parts)):
        trainer = learner.train(data, folders)
    judged = held_out.validation(trainer, data)
    if settings.calibrate:
        strangers = cross_fitting.judge(parts, learner, folders.checkpoints)
        _calibrate(trainer.model, held_out.Judged.joined([judged, *strangers]))
    serving_model = signatures.ServingModel(
        trainer.model,
        learner.vocabulary_file,
        learner.image.size,
        learner.caption.max_tokens,
        architecture.embedding_dim,
    )
    return Trained(serving_model, learner.attributes, training.auc(*judged))


def _calibrate(pair_model: model.PairModel, judged: held_out.Judged) -> None:
    """Fits the matcher's last layer to what was said of pairs."""
    scale, offset = calibration.fit(judged.logits, judged.labels)
    layer = pair_model.matcher.get_layer(model.CALIBRATION)
    layer.scale.assign(scale)
    layer.offset.assign(offset)


def _files(patterns: list[str]) -> list[str]:
    return [file for pattern in patterns for file in sorted(tf.io.gfile.glob(pattern))]

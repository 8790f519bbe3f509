"""The Trainer's `run_fn`: reads transformed pairs, builds a model, fits, calibrates and exports it.

Same seed, same machine, same data: same weights, bit for bit, also after a kill in between. What
may differ elsewhere: another type of CPU, another number of threads or of replicas, or a GPU adds
floating-point numbers in another order (on one and the same GPU TensorFlow's op determinism holds
them in place, and refuses kernels that cannot); other releases of TensorFlow and Keras; and data
beyond the size that `modules.training.inputs` sorts, which come in the order of Beam's files.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from core import reporting
from modules.export import signatures
from modules.network import backbones
from modules.preprocessing import user_normalization
from modules.training import (
    calibration,
    checkpoints,
    cross_fitting,
    distribution,
    frozen_features,
    inputs,
)
from modules.training.build import build_trainer
from modules.training.data_checks import check_data
from modules.training.fit import Folders, fit
from modules.training.frozen_features import FrozenFeatures
from modules.training.hyperparameters import apply_hyperparameters
from modules.training.inputs import Splits, TrainingData
from modules.training.pair_trainer import training_auc
from modules.training.setup import TrainingSetup
from modules.training.warm_start import write_architecture

_log = logging.getLogger(f"{reporting.LOGGER}.trainer")


def run_fn(fn_args: FnArgs) -> None:
    """Trains the model and writes it to `fn_args.serving_model_dir`.

    Args:
      fn_args: TFX's arguments, see `train`; `hyperparameters`, where there are any, override
        `custom_config`, whose `checkpoints` is the folder where a training that was killed is
        looked for.

    Raises:
      DexmatchError: see `train`; or the hyperparameters are none of today's.
    """
    custom_config = apply_hyperparameters(fn_args.custom_config, fn_args.hyperparameters)
    unfinished = checkpoints_folder(custom_config, fn_args)
    if distribution.is_chief():
        checkpoints.remove_others(unfinished)
    trained = train(
        custom_config, fn_args, Folders(checkpoints=unfinished, logs=fn_args.model_run_dir)
    )
    if distribution.is_chief():
        signatures.save(trained.model, fn_args.serving_model_dir)
        write_architecture(
            fn_args.serving_model_dir, trained.setup.config.model, trained.setup.attributes
        )
        user_normalization.save(trained.setup.config.caption.normalize, fn_args.serving_model_dir)
        checkpoints.remove(unfinished)
    else:  # Every worker must take part in the saving; one of them keeps it.
        with tempfile.TemporaryDirectory() as scratch:
            signatures.save(trained.model, scratch)


@dataclass(frozen=True)
class TrainedModel:
    """A trained and calibrated model.

    Attributes:
      model: ready to be saved.
      setup: what it was trained with.
      val_auc: its AUC on the validation split, as the training measures it.
    """

    model: signatures.ServingModel
    setup: TrainingSetup
    val_auc: float


def train(custom_config: Mapping[str, Any], fn_args: FnArgs, folders: Folders) -> TrainedModel:
    """Trains one model, for the Trainer or for a trial of the Tuner.

    Args:
      custom_config: the sections `pairs`, `image`, `caption`, `model`, `trainer` and `augment` as
        dicts, and `attributes`, the metadata features that the model learns to read.
      fn_args: where the data are; `base_model` is where `model.weights = "last_blessed"` goes on
        from.
      folders: where to write.

    Raises:
      DexmatchError: the data are too few or too uniform to train on or to calibrate by, the
        weights do not fit, or the loss became NaN.
    """
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    setup = TrainingSetup.read(custom_config, transform, fn_args.base_model)
    tf.config.experimental.enable_op_determinism()
    data = read_data(fn_args, transform, setup)
    trainer = build_trainer(setup)
    frozen = None
    if setup.config.trainer.frozen_epochs:
        folder = tf.io.gfile.join(folders.checkpoints, frozen_features.FOLDER)
        frozen = FrozenFeatures(trainer.model.image_features, setup, folder)
        data = replace(data, features=frozen.rows(data.pictures))
    folds = cross_fitting.split_folds(data, setup)

    with _features_first(frozen, data):
        with reporting.part("", 0, 1 + len(folds)):
            model = fit(trainer, data, setup, folders)
        validation = calibration.score_validation(model, data)
        if setup.config.trainer.calibrate:
            held_out = cross_fitting.score_folds(folds, setup, folders.checkpoints)
            calibration.calibrate(model, [validation, *held_out])

    served = signatures.ServingModel(
        model,
        setup.vocabulary_file,
        setup.config.image.size,
        setup.config.caption.max_tokens,
        setup.config.model.embedding_dim,
        user_normalization.function(setup.config.caption.normalize),
    )
    return TrainedModel(served, setup, training_auc(*validation))


@contextlib.contextmanager
def _features_first(frozen: FrozenFeatures | None, data: TrainingData) -> Iterator[None]:
    """Computes what a frozen stage needs; it and what follows are half of the progress each."""
    if not frozen:
        yield
        return
    with reporting.part("", 0, 2):
        frozen.compute(data.pictures, data.batch_size)
    with reporting.part("", 1, 2):
        yield


def read_data(
    fn_args: FnArgs, transform: tft.TFTransformOutput, setup: TrainingSetup
) -> TrainingData:
    """Reads both splits, and refuses what no training can make sense of.

    Raises:
      DexmatchError: see `check_data` and `TrainingData.in_steps`.
    """
    settings, architecture = setup.config.trainer, setup.config.model
    spec = transform.transformed_feature_spec()
    pictures = Splits(
        train=inputs.pair_rows(_files(fn_args.train_files), spec),
        val=inputs.pair_rows(_files(fn_args.eval_files), spec),
    )
    count = check_data(pictures, settings)
    if settings.frozen_epochs and architecture.weights == backbones.NO_WEIGHTS:
        _log.warning(
            'trainer.frozen_epochs = %d with model.weights = "%s": what stays frozen is random',
            settings.frozen_epochs,
            backbones.NO_WEIGHTS,
        )
    replicas = setup.strategy.num_replicas_in_sync
    return TrainingData.in_steps(pictures, count, settings.batch_size, replicas)


def checkpoints_folder(custom_config: Mapping[str, Any], fn_args: FnArgs) -> str:
    """Where a training, or a tuning, leaves what it needs to go on after a kill.

    Args:
      custom_config: of the Trainer or the Tuner, with the hyperparameters in it.
      fn_args: where the data and the base model are.
    """
    return checkpoints.folder_for(
        custom_config[checkpoints.ROOT],
        {
            **{name: value for name, value in custom_config.items() if name != checkpoints.ROOT},
            "base_model": fn_args.base_model,
        },
        _files([f"{fn_args.transform_graph_path}/transform_fn/assets/*"])
        + _files(fn_args.train_files)
        + _files(fn_args.eval_files),
    )


def _files(patterns: list[str]) -> list[str]:
    return [file for pattern in patterns for file in sorted(tf.io.gfile.glob(pattern))]

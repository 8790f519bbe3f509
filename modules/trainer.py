"""The Trainer's `run_fn`: reads transformed examples, trains, exports."""

import logging
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx

from modules import (
    captions,
    hyperparameters,
    inputs,
    model,
    reporting,
    signatures,
    training,
    warm_start,
    weights,
)
from pipeline.config import AugmentConfig, CaptionConfig, ImageConfig, ModelConfig, TrainerConfig
from pipeline.errors import DexmatchError


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Trains the model and writes it to `fn_args.serving_model_dir`.

    Args:
      fn_args: TFX's arguments, see `train`; `hyperparameters`, where there are any, override
        `custom_config`.

    Raises:
      DexmatchError: see `train`; or the hyperparameters are none of today's.
    """
    config = hyperparameters.applied(fn_args.custom_config, fn_args.hyperparameters)
    serving_model, _ = train(config, fn_args)
    signatures.save(serving_model, fn_args.serving_model_dir)
    warm_start.note(fn_args.serving_model_dir, ModelConfig(**config["model"]))


def train(
    config: dict[str, Any], fn_args: tfx.components.FnArgs
) -> tuple[signatures.ServingModel, float]:
    """Trains one model, for the Trainer or for a trial of the Tuner.

    Args:
      config: the sections `image`, `caption`, `model`, `trainer` and `augment` as dicts.
      fn_args: where the data are; `base_model` is where `model.weights = "last_blessed"` goes on
        from.

    Returns:
      The model, ready to be saved, and the validation AUC of its best epoch.

    Raises:
      DexmatchError: too few pairs to train or to validate on, or the weights do not fit.
    """
    image, caption = ImageConfig(**config["image"]), CaptionConfig(**config["caption"])
    architecture, settings = ModelConfig(**config["model"]), TrainerConfig(**config["trainer"])
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    # Same seed, same machine: same weights.
    keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()

    vocabulary_file = transform.vocabulary_file_by_name(captions.VOCABULARY)
    words = transform.vocabulary_size_by_name(captions.VOCABULARY)
    vocabulary_size = captions.FIRST_WORD_ID + words
    pair_model = model.build(architecture, image.size, caption.max_tokens, vocabulary_size)
    if architecture.weights == weights.LAST_BLESSED:
        warm_start.load(
            pair_model,
            fn_args.base_model,
            architecture,
            image.size,
            caption.max_tokens,
            vocabulary_file,
        )
    val_auc = _fit(
        training.PairTrainer(
            pair_model, vocabulary_size, settings, AugmentConfig(**config["augment"])
        ),
        _rows(fn_args.train_files, transform),
        _rows(fn_args.eval_files, transform),
        settings,
        caption.max_tokens,
    )
    serving_model = signatures.ServingModel(
        pair_model, vocabulary_file, image.size, caption.max_tokens, architecture.embedding_dim
    )
    return serving_model, val_auc


def _rows(patterns: list[str], transform: tft.TFTransformOutput) -> tf.data.Dataset:
    files = [file for pattern in patterns for file in tf.io.gfile.glob(pattern)]
    return inputs.pair_rows(files, transform.transformed_feature_spec())


def _fit(
    trainer: training.PairTrainer,
    train_rows: tf.data.Dataset,
    val_rows: tf.data.Dataset,
    settings: TrainerConfig,
    max_tokens: int,
) -> float:
    """Trains until the monitored figure stops getting better, and leaves the best weights.

    Returns:
      The highest validation AUC.
    """
    pairs, val_pairs = _count(train_rows), _count(val_rows)
    if pairs < 2 or not val_pairs:
        raise DexmatchError(
            f"{pairs} pairs to train on and {val_pairs} to validate on are too few; "
            "import more pairs, or check that they have more than a few groups"
        )
    batch_size = min(settings.batch_size, pairs)
    steps = pairs // batch_size
    schedule = training.WarmupSchedule(
        settings.learning_rate,
        settings.warmup_epochs * steps,
        settings.epochs * steps if settings.schedule == "cosine" else None,
    )
    trainer.compile(optimizer=keras.optimizers.Adam(schedule), jit_compile=False)
    hard_captions = 1 if settings.hard_share else 0
    history = trainer.fit(
        inputs.training_pairs(train_rows, max_tokens, batch_size, hard_captions, settings.seed),
        validation_data=inputs.validation_pairs(val_rows, batch_size),
        epochs=settings.epochs,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=[
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.EarlyStopping(
                monitor=settings.monitor,
                mode="max" if settings.monitor == "val_auc" else "min",
                patience=settings.patience,
                restore_best_weights=True,
            ),
            _Progress(settings.epochs, steps),
        ],
    )
    return float(max(history.history["val_auc"]))


class _Progress(keras.callbacks.Callback):
    """Says how the training stands: every step for the display, every epoch for the log as well."""

    def __init__(self, epochs: int, steps: int):
        super().__init__()
        self._total = epochs * steps
        self._epochs = epochs
        self._done = 0
        self._text = "training"

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._done += 1
        reporting.report(self._text, self._done, self._total)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = ", ".join(f"{name} {value:.3f}" for name, value in (logs or {}).items())
        self._text = f"epoch {epoch + 1} of {self._epochs}: {figures}"
        reporting.report(self._text, self._done, self._total, logging.INFO)


def _count(rows: tf.data.Dataset) -> int:
    return int(rows.reduce(tf.constant(0, tf.int64), lambda total, _: total + 1))

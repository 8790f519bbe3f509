"""The yardstick: the study project that dexmatch grew from, as one plain Keras script.

    python -m benchmarks.seed_recipe runs/demo/artifacts/PairSampler/sampled_examples/2
    python -m benchmarks.seed_recipe FOLDER --minutes 16 --seed 2 --json figures.json

EfficientNetB0 beside an LSTM, joined by concatenation, a dense layer and a sigmoid; binary
cross-entropy, Adam at 1e-4, batches of 32, at most 30 epochs with EarlyStopping; flips, rotation
and zoom. NumPy arrays in memory, and one negative per training picture, drawn once. Weights
are random unless a file is given.

It takes the split, and the val and test pairs, of the pipeline: FOLDER is what PairSampler wrote.
"""

import argparse
import dataclasses
import io
import json
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from rich.console import Console

from benchmarks import judging
from core import terminal

EPOCHS = 30
PATIENCE = 5
BATCH_SIZE = 32
LEARNING_RATE = 1e-4
SIZE = 224
"""Pixels; what EfficientNetB0 was made for."""
MAX_WORDS = 5000
CAPTION_WORDS = 48
WIDTH = 128
"""Of the word embedding and of the LSTM."""
HIDDEN = 256

_AUC_THRESHOLDS = 2000
"""Keras' 200 are too coarse for answers that are all alike, as this recipe's are at first."""


def main() -> None:
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a PairSampler's sampled_examples")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="at most")
    parser.add_argument("--size", type=int, default=SIZE, help="height and width in pixels")
    parser.add_argument("--minutes", type=float, help="stop the training after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", help="a Keras weights file for the backbone, without its top")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = vars(parser.parse_args())
    target = options.pop("json")
    trained = train_and_score(**options)
    show(trained)
    if target:
        target.write_text(json.dumps(dataclasses.asdict(trained), indent=2), encoding="utf-8")


def train_and_score(
    folder: Path,
    *,
    epochs: int = EPOCHS,
    size: int = SIZE,
    minutes: float | None = None,
    seed: int = 1,
    weights: str | None = None,
) -> judging.Trained:
    """Trains on the train split, stops by the val pairs, and scores the test pairs.

    Args:
      folder: a PairSampler's `sampled_examples`.
      epochs: at most.
      size: height and width of the pictures in pixels.
      minutes: the training stops after so long; None for no limit.
      seed: of weights, shuffling, augmentation and negatives.
      weights: a Keras weights file for the backbone; None for random weights.

    Returns:
      What came of it. The time counts from building the model until the best weights are back in
      it; pictures are decoded before, as Transform does it for the pipeline.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    true, val, test = (judging.read(folder, split) for split in ("train", "val", "test"))
    vectorize = keras.layers.TextVectorization(MAX_WORDS, output_sequence_length=CAPTION_WORDS)
    vectorize.adapt(true.captions)
    pictures = decode(true.images, size)
    captions = true.captions + random_negatives(true, seed)
    train_input = [np.concatenate([pictures, pictures]), vectorize(captions).numpy()]
    train_labels = np.repeat([1.0, 0.0], len(true.captions))
    val_input, test_input = (
        [decode(pairs.images, size), vectorize(pairs.captions).numpy()] for pairs in (val, test)
    )

    clock = Clock(minutes)
    model = build(size, vectorize.vocabulary_size(), weights)
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss="binary_crossentropy",
        metrics=[keras.metrics.AUC(_AUC_THRESHOLDS, name="auc")],
        jit_compile=False,
    )
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=PATIENCE, restore_best_weights=True
    )
    model.fit(
        train_input,
        train_labels,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=(val_input, val.labels),
        callbacks=[clock, stopping],
        verbose=0,
    )
    seconds = clock.seconds()
    probabilities = model.predict(test_input, batch_size=BATCH_SIZE, verbose=0)[:, 0]
    figures = judging.figures(test.labels, test.kinds, probabilities.astype(np.float64))
    return judging.Trained(figures, seconds, clock.curve)


def decode(images: list[bytes], size: int) -> np.ndarray:
    """Picture files to uint8 [N, size, size, 3]: laid on white, in the middle of a white square."""
    return np.stack([_decode(image, size) for image in images])


def _decode(image: bytes, size: int) -> np.ndarray:
    with Image.open(io.BytesIO(image)) as opened:
        picture = opened.convert("RGBA")
    side = max(picture.size)
    square = Image.new("RGB", (side, side), "white")
    corner = (side - picture.width) // 2, (side - picture.height) // 2
    square.paste(picture, corner, mask=picture)
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))


def random_negatives(pairs: judging.Pairs, seed: int) -> list[str]:
    """For each picture a caption of another group and of other words, drawn by seed.

    Raises:
      ValueError: a picture finds none.
    """
    random = np.random.default_rng(seed)
    groups, captions = np.array(pairs.groups), np.array(pairs.captions)
    drawn = []
    for group, caption in zip(groups, captions, strict=True):
        wrong = np.flatnonzero((groups != group) & (captions != caption))
        if not len(wrong):
            raise ValueError(f"group {group}: there is no caption of another group in this split")
        drawn.append(str(captions[random.choice(wrong)]))
    return drawn


def build(size: int, vocabulary_size: int, weights: str | None) -> keras.Model:
    """(pictures [N, S, S, 3] in 0..255, word ids [N, L]) to a probability [N, 1]."""
    picture = keras.Input((size, size, 3), name="picture")
    words = keras.Input((CAPTION_WORDS,), dtype="int64", name="words")
    augmented = keras.layers.RandomFlip("horizontal")(picture)
    augmented = keras.layers.RandomRotation(0.1)(augmented)
    augmented = keras.layers.RandomZoom(0.1)(augmented)
    backbone = keras.applications.EfficientNetB0(
        include_top=False, weights=weights, input_shape=(size, size, 3), pooling="avg"
    )
    vectors = keras.layers.Embedding(vocabulary_size, WIDTH, mask_zero=True)(words)
    joined = keras.layers.Concatenate()([backbone(augmented), keras.layers.LSTM(WIDTH)(vectors)])
    hidden = keras.layers.Dense(HIDDEN, activation="relu")(joined)
    return keras.Model([picture, words], keras.layers.Dense(1, activation="sigmoid")(hidden))


class Clock(keras.callbacks.Callback):
    """Notes when each epoch ended and how good the model was, and stops the training in time.

    Args:
      minutes: from now on; None for no limit.
    """

    def __init__(self, minutes: float | None):
        super().__init__()
        self.curve: list[tuple[float, float]] = []
        self._limit = float("inf") if minutes is None else 60 * minutes
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._started

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stops when the time is up."""
        if self.seconds() > self._limit:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the epoch, which includes its validation."""
        figures = logs or {}
        self.curve.append((self.seconds(), figures["val_auc"]))
        terminal.say(
            f"        epoch {epoch + 1}: {self.seconds():.0f} s, loss {figures['loss']:.3f}, "
            f"val_loss {figures['val_loss']:.3f}, val_auc {figures['val_auc']:.3f}"
        )


def show(trained: judging.Trained) -> None:
    """Prints the figures."""
    table = terminal.table("seed recipe", "value>")
    for name, value in trained.figures.items():
        table.add_row(name, f"{value:.3f}")
    table.add_row("training, minutes", f"{trained.seconds / 60:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()

"""Backbones side by side: a served model's size and speed, and the speed of training one.

    python -m benchmarks.backbones EfficientNetB0 EfficientNetLite0 --size 224

Weights are random and pictures noise: neither size nor time depends on them. Each model is a whole
one as the Trainer exports it, up to the backbone's top, and its `encode_image` is given PNG files;
all are measured in one process, in turns.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from benchmarks import tables
from core.backbones import BACKBONES
from core.config import CaptionConfig, ModelConfig
from modules.export import signatures
from modules.network import model
from modules.network.model import PairModel

BATCH = 32
WORDS = 1000


class Measured:
    """A backbone's model, saved and loaded again.

    Args:
      name: one of `core.backbones.BACKBONES`.
      size: height and width of the pictures.
      folder: to save into.
    """

    def __init__(self, name: str, size: int, folder: Path):
        keras.utils.set_random_seed(1)
        settings = ModelConfig(backbone=name, feature_levels=("top",))
        length = CaptionConfig().max_tokens
        self.name = name
        self.built: PairModel = model.build(settings, size, length, WORDS + 2)
        vocabulary = folder / "words.txt"
        vocabulary.write_text("".join(f"word{number}\n" for number in range(WORDS)))
        served = signatures.ServingModel(
            self.built, str(vocabulary), size, length, settings.embedding_dim
        )
        saved = folder / name
        signatures.save(served, str(saved))
        self.megabytes = (
            sum(file.stat().st_size for file in saved.rglob("*") if file.is_file()) / 1e6
        )
        self.loaded = tf.saved_model.load(str(saved))
        pixels = np.random.default_rng(0).integers(0, 255, (BATCH, size, size, 3)).astype(np.uint8)
        self._files = tf.constant([tf.io.encode_png(picture).numpy() for picture in pixels])
        self._pixels = tf.constant(pixels.astype(np.float32))
        self._step = tf.function(self._gradients)

    def answer(self, count: int) -> None:
        """Encodes the first pictures as the server does."""
        self.loaded.signatures[signatures.ENCODE_IMAGE](image=self._files[:count])

    def learn(self) -> None:
        """Forward and backward through the image branch, without the optimizer."""
        _ = [each.numpy() for each in self._step()[:1]]

    def _gradients(self) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            embedding = self.built.image_encoder(self._pixels, training=True)
            loss = tf.reduce_mean(tf.square(embedding))
        found: list[tf.Tensor] = tape.gradient(loss, self.built.image_encoder.trainable_variables)
        return found


def median_seconds(
    all_: list[Measured], work: Callable[[Measured], None], rounds: int
) -> list[float]:
    """Of each, measured in turns after a first time that does not count."""
    taken: list[list[float]] = [[] for _ in all_]
    for counted in range(rounds + 1):
        for each, seconds in zip(all_, taken, strict=True):
            began = time.perf_counter()
            work(each)
            if counted:
                seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds) for seconds in taken]


def main() -> None:
    """Measures and prints; the ratios are to the first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbones", nargs="+", choices=list(BACKBONES), metavar="BACKBONE")
    parser.add_argument("--size", type=int, default=224, help="of the pictures, in pixels")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        all_ = [Measured(name, arguments.size, Path(folder)) for name in arguments.backbones]
        one = median_seconds(all_, lambda each: each.answer(1), arguments.rounds)
        many = median_seconds(all_, lambda each: each.answer(BATCH), arguments.rounds)
        learning = median_seconds(all_, Measured.learn, arguments.rounds)
    table = Table(title=f"{arguments.size} x {arguments.size} pixels, batches of {BATCH}")
    for column in ("backbone", "saved", "one picture", "pictures/s", "", "trained/s", ""):
        table.add_column(column, justify="left" if column == "backbone" else "right")
    for index, each in enumerate(all_):
        table.add_row(
            each.name,
            f"{each.megabytes:.1f} MB",
            f"{1000 * one[index]:.0f} ms",
            f"{BATCH / many[index]:.0f}",
            f"{many[0] / many[index]:.2f} x",
            f"{BATCH / learning[index]:.1f}",
            f"{learning[0] / learning[index]:.2f} x",
        )
    tables.show(table)


if __name__ == "__main__":
    main()

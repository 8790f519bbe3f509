"""What it saves to run a frozen backbone once for each picture, and not in every epoch.

Both ways train the same heads on the same pictures, side by side in one process; the first epoch of
each, in which TensorFlow traces the step, is not counted.

    python -m benchmarks.frozen_backbone --pairs 512 --size 96
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from core import features
from core.config import AugmentConfig, ModelConfig, TrainerConfig
from modules.network import model
from modules.training import frozen_features, inputs, stages
from modules.training.augmentation import build_augmentation
from modules.training.pair_trainer import PairTrainer

TOKENS = 32
VOCABULARY = 1000


def synthetic_rows(pairs: int, size: int) -> tf.data.Dataset:
    """Pairs of noise with captions of random words; the time does not depend on what they show."""
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 255, (pairs, size, size, 3)).astype(np.uint8)
    return tf.data.Dataset.from_tensor_slices(
        {
            features.PIXELS: [tf.io.encode_png(picture).numpy() for picture in pictures],
            features.TOKENS: generator.integers(2, VOCABULARY, (pairs, TOKENS)),
            features.GROUP_HASH: np.arange(pairs),
        }
    )


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    """Runs something, and says for how long."""
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made


def epoch_seconds(rows: tf.data.Dataset, settings: TrainerConfig, size: int) -> float:
    """Seconds of an epoch that trains on these rows with a frozen backbone."""
    keras.utils.set_random_seed(settings.seed)
    built = model.build(ModelConfig(), size, TOKENS, VOCABULARY)
    trainer = PairTrainer(built, VOCABULARY, settings, AugmentConfig())
    stages.plan_stages(settings)[0].freeze(built, settings)
    trainer.compile(optimizer=keras.optimizers.Adam(), jit_compile=False)
    batches = inputs.training_pairs(rows, TOKENS, settings.batch_size, 0, settings.seed)
    steps = inputs.count_rows(rows) // settings.batch_size
    trainer.fit(batches, steps_per_epoch=steps, verbose=0)
    took, _ = seconds(
        lambda: trainer.fit(
            batches, epochs=settings.frozen_epochs, steps_per_epoch=steps, verbose=0
        )
    )
    return took / settings.frozen_epochs


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--size", type=int, default=64, help="of the pictures, in pixels")
    parser.add_argument("--epochs", type=int, default=3, help="to measure, each way")
    arguments = parser.parse_args()
    settings = TrainerConfig(frozen_epochs=arguments.epochs)
    rows = synthetic_rows(arguments.pairs, arguments.size)
    encoder = frozen_features.Encoder(
        model.build(ModelConfig(), arguments.size, TOKENS, VOCABULARY).image_features,
        build_augmentation(AugmentConfig(), settings.seed),
    )
    once, cached = seconds(
        lambda: frozen_features.with_features(rows, encoder, settings.batch_size, 1)
    )
    reused = epoch_seconds(cached, settings, arguments.size)
    anew = epoch_seconds(rows, settings, arguments.size)
    print(f"{arguments.pairs} pairs, EfficientNetB0 at {arguments.size} x {arguments.size}")
    print(f"features once, with tracing        {once:8.2f} s")
    print(f"an epoch on them                   {reused:8.2f} s")
    print(f"an epoch through the backbone      {anew:8.2f} s   {anew / reused:.1f} times as long")
    for epochs in (5, 30):
        ratio = epochs * anew / (once + epochs * reused)
        print(f"{epochs:2} epochs, features included          {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()

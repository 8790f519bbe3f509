"""What it saves to run a frozen backbone once for each picture, and not in every epoch.

Both ways train the same heads on the same pictures, side by side in one process; the first epoch of
each, in which TensorFlow traces the step, is not counted.

    python -m benchmarks.frozen_backbone --pairs 512
    python -m benchmarks.frozen_backbone recipes/pretrained.toml --pairs 512
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from benchmarks.synthetic import synthetic_rows
from core import config as configs
from core.config import Config
from modules.network import model
from modules.training import inputs, stages
from modules.training.frozen_features import FrozenFeatures
from modules.training.inputs import Splits
from modules.training.pair_trainer import PairTrainer
from modules.training.setup import TrainingSetup

SEED_RECIPE = Path("recipes/seed.toml")
VOCABULARY = 1000


def seconds(work: Callable[[], object]) -> float:
    """Runs something, and says for how long."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def epoch_seconds(trainer: PairTrainer, rows: tf.data.Dataset, config: Config) -> float:
    """Seconds of an epoch that trains on these rows with a frozen backbone."""
    settings = config.trainer
    stages.plan_stages(settings)[0].freeze(trainer.model, settings)
    trainer.compile(optimizer=keras.optimizers.Adam(), jit_compile=False)
    batches = inputs.training_pairs(
        rows, config.caption.max_tokens, settings.batch_size, 0, settings.seed
    )
    steps = inputs.count_rows(rows) // settings.batch_size
    trainer.fit(batches, steps_per_epoch=steps, verbose=0)
    return seconds(lambda: trainer.fit(batches, steps_per_epoch=steps, verbose=0))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path, nargs="?", default=SEED_RECIPE)
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    config = configs.load(
        arguments.recipe, ["model.weights=none", "trainer.frozen_epochs=30", *arguments.set]
    )
    settings = config.trainer
    rows = synthetic_rows(config, arguments.pairs, VOCABULARY)
    setup = TrainingSetup(config, tf.distribute.get_strategy(), "", [], {}, None)
    keras.utils.set_random_seed(settings.seed)

    def build() -> PairTrainer:
        built = model.build(config.model, config.image.size, config.caption.max_tokens, VOCABULARY)
        return PairTrainer(built, VOCABULARY, settings, config.augment)

    with tempfile.TemporaryDirectory() as folder:
        trainer = build()
        frozen = FrozenFeatures(trainer.model.image_features, setup, folder)
        pictures = Splits(train=rows, val=rows.take(1))
        once = seconds(lambda: frozen.compute(pictures, settings.batch_size))
        reused = epoch_seconds(trainer, frozen.rows(pictures).train, config)
    anew = epoch_seconds(build(), rows, config)
    print(f"{arguments.pairs} pairs, {config.model.backbone} at {config.image.size} pixels")
    print(f"features, {settings.frozen_views} views, with tracing {once:8.2f} s")
    print(f"an epoch on them                {reused:8.2f} s")
    print(f"an epoch through the backbone   {anew:8.2f} s   {anew / reused:.1f} times as long")
    for epochs in (5, 30):
        ratio = epochs * anew / (once + epochs * reused)
        print(f"{epochs:2} epochs, features included       {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()

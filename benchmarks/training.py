"""How near a training is to what its network alone would take.

    python -m benchmarks.training recipes/demo.toml --pairs 512

Side by side in one process, on noise with captions of random words, in the sizes of the recipe:

- an epoch as the Trainer goes through it, pictures decoded from PNG, batches drawn, figures kept;
- the same steps on batches that lie in memory;
- forward and backward of the two bare branches on those batches, without matcher, losses,
  augmentation and optimizer.
"""

import argparse
import collections
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from rich.table import Table

from benchmarks import tables
from benchmarks.synthetic import synthetic_rows
from core import config as configs
from core import features
from core.config import Config
from modules.network import model
from modules.network.model import PairModel
from modules.training import inputs, optimizer, stages
from modules.training.pair_trainer import PairTrainer

VOCABULARY = 400
ATTRIBUTES = (10, 8, 6, 5, 4)

Batch = dict[str, tf.Tensor]


def build(config: Config, steps: int) -> PairTrainer:
    """A model with its training step, as the Trainer compiles it."""
    keras.utils.set_random_seed(config.trainer.seed)
    built = model.build(
        config.model, config.image.size, config.caption.max_tokens, VOCABULARY, ATTRIBUTES
    )
    trainer = PairTrainer(built, VOCABULARY, config.trainer, config.augment)
    stage = stages.plan_stages(config.trainer)[-1]
    stage.freeze(built, config.trainer)
    trainer.compile(
        optimizer=optimizer.build_optimizer(stage, steps, config.trainer), jit_compile=False
    )
    return trainer


def branches(built: PairModel) -> Callable[[Batch], tf.Tensor]:
    """Forward and backward of both branches."""
    variables = built.image_encoder.trainable_variables + built.caption_encoder.trainable_variables

    def step(batch: Batch) -> tf.Tensor:
        with tf.GradientTape() as tape:
            pixels = tf.cast(batch[features.PIXELS], tf.float32)
            embeddings = (
                built.image_encoder(pixels, training=True),
                built.caption_encoder(batch[features.TOKENS], training=True),
            )
            loss = tf.add_n([tf.reduce_mean(tf.square(each)) for each in embeddings])
        gradients = tape.gradient(loss, variables)
        return tf.add_n([tf.reduce_sum(tf.convert_to_tensor(each)) for each in gradients])

    return step


def through(step: Callable[[Batch], object], batches: list[Batch]) -> Callable[[], None]:
    """One epoch over batches in memory."""
    compiled = tf.function(step, reduce_retracing=True)

    def epoch() -> None:
        for batch in batches:
            last = compiled(batch)
        tf.nest.map_structure(lambda each: each.numpy(), last)

    return epoch


def seconds(epochs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median of each, measured in turns after a first time that does not count."""
    taken = collections.defaultdict(list)
    for counted in range(rounds + 1):
        for name, epoch in epochs.items():
            began = time.perf_counter()
            epoch()
            if counted:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in taken.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    config = configs.load(arguments.recipe, arguments.set)
    settings = config.trainer
    steps = arguments.pairs // settings.batch_size
    rows = synthetic_rows(config, arguments.pairs, VOCABULARY, ATTRIBUTES)
    trainer = build(config, steps)
    drawn = inputs.training_pairs(
        rows, config.caption.max_tokens, settings.batch_size, 0, settings.seed
    )
    batches = list(drawn.take(steps))
    apart = build(config, steps)
    epochs = {
        "an epoch of the Trainer": lambda: trainer.fit(drawn, steps_per_epoch=steps, verbose=0),
        "its steps, batches in memory": through(apart.train_step, batches),
        "forward and backward of the branches": through(branches(apart.model), batches),
    }
    found = seconds(epochs, arguments.rounds)
    title = f"{steps} steps of {settings.batch_size} pictures, {config.image.size} pixels"
    table = Table("", "seconds", "of an epoch", title=title)
    whole = next(iter(found.values()))
    for name, taken in found.items():
        table.add_row(name, f"{taken:.2f}", f"{taken / whole:.2f}")
    tables.show(table)


if __name__ == "__main__":
    main()

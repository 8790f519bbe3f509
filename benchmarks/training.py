"""How near a training is to what its network alone would take, and what a step is spent on.

    python -m benchmarks.training recipes/demo.toml --pairs 512

Side by side in one process, on noise with captions of random words, in the sizes of the recipe:

- an epoch as the Trainer goes through it, pictures decoded from PNG, batches drawn, figures kept;
- the same steps on batches that lie in memory;
- forward and backward of the two bare branches on what a step encodes, which are the pictures,
  their captions and the hard ones, without matcher, losses, augmentation and optimizer.

Then, by TensorFlow's profiler, the time that the threads spend in the operations of each part of a
step. They work side by side, so that all parts together take longer than the step.

    python -m benchmarks.training recipes/demo.toml --precision mixed_bfloat16 --xla

measures instead what `trainer.precision` and `trainer.xla` are worth: the steps on batches in
memory with each of them, and with both, in turns with float32 without XLA.
"""

import argparse
import collections
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from rich.table import Table
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks import tables
from benchmarks.synthetic import synthetic_rows
from core import config as configs
from core import features
from core.config import Config
from modules.network.model import PairModel
from modules.preprocessing import captions
from modules.training import inputs, optimizer, stages
from modules.training.build import build_trainer
from modules.training.pair_trainer import PairTrainer
from modules.training.setup import TrainingSetup

VOCABULARY = 400
ATTRIBUTES = (10, 8, 6, 5, 4)

_THREADS = "tf_Compute"
_GRADIENT = "gradient_tape/"
# The first pattern that is found in an operation's scope names its part.
_PARTS = {
    r"^augmentation": "augmentation",
    r"_bn(_\d+)?/": "backbone: batch normalisation",
    r"(dwconv|depthwise)\w*/": "backbone: depthwise convolutions",
    r"_conv(_\d+)?/": "backbone: other convolutions",
    r"color_histogram": "histogram of colours",
    r"^image_encoder": "backbone: everything else, and head",
    r"^caption_encoder": "captions",
    r"^matcher": "matcher",
    r"^adam": "optimizer",
}

Batch = dict[str, tf.Tensor]


def build(config: Config) -> PairTrainer:
    """A model with its training step, as the Trainer compiles it."""
    words = [""] * (VOCABULARY - captions.FIRST_WORD_ID)
    attributes = {str(number): [""] * count for number, count in enumerate(ATTRIBUTES)}
    setup = TrainingSetup(config, tf.distribute.get_strategy(), "", words, attributes, None)
    trainer = build_trainer(setup)
    stage = stages.plan_stages(config.trainer)[-1]
    stage.freeze(trainer.model, config.trainer)
    trainer.compile(optimizer=optimizer.build_optimizer(stage, config.trainer), jit_compile=False)
    return trainer


def branches(built: PairModel) -> Callable[[Batch], tf.Tensor]:
    """Forward and backward of both branches."""
    variables = built.image_encoder.trainable_variables + built.caption_encoder.trainable_variables

    def step(batch: Batch) -> tf.Tensor:
        with tf.GradientTape() as tape:
            pixels = tf.cast(batch[features.PIXELS], tf.float32)
            tokens, hard = batch[features.TOKENS], batch[features.HARD_TOKENS]
            texts = tf.concat([tokens, tf.reshape(hard, [-1, tokens.shape[1]])], axis=0)
            embeddings = (
                built.image_encoder(pixels, training=True),
                built.caption_encoder(texts, training=True),
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


def variants(load: Callable[..., Config], precisions: list[str], xla: bool) -> dict[str, Config]:
    """What is asked for, and float32 without XLA first of all."""
    found = {}
    for precision in dict.fromkeys(["float32", *precisions]):
        for compiled in (False, True) if xla else (False,):
            title = f"{precision}, XLA" if compiled else precision
            found[title] = load(f"trainer.precision={precision}", f"trainer.xla={compiled}".lower())
    return found


def parts(epoch: Callable[[], object], steps: int) -> dict[tuple[str, bool], float]:
    """(part of a step, whether it is of the gradient) to milliseconds a step, over all threads."""
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            epoch()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    taken: dict[tuple[str, bool], float] = collections.defaultdict(float)
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events if line.name.startswith(_THREADS) else ():
                # "scope/scope/operation:Type", and other events that are no operations.
                scope, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                if scope and not scope.endswith(":"):
                    part = part_of(scope.removeprefix(_GRADIENT), kind)
                    taken[part, scope.startswith(_GRADIENT)] += event.duration_ps / 1e9 / steps
    return taken


def part_of(scope: str, kind: str) -> str:
    """What of a step an operation belongs to."""
    for pattern, part in _PARTS.items():
        if re.search(pattern, scope):
            return part
    return "sums of gradients" if kind == "AddN" else "losses, figures"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--precision", action="append", default=[], metavar="POLICY")
    parser.add_argument("--xla", action="store_true")
    arguments = parser.parse_args()

    def load(*more: str) -> Config:
        return configs.load(arguments.recipe, [*arguments.set, *more])

    config = load()
    settings = config.trainer
    steps = arguments.pairs // settings.batch_size
    rows = synthetic_rows(config, arguments.pairs, VOCABULARY, ATTRIBUTES)
    drawn = inputs.training_pairs(
        rows, config.caption.max_tokens, settings.batch_size, 0, settings.seed
    )
    batches = list(drawn.take(steps))
    title = f"{steps} steps of {settings.batch_size} pictures, {config.image.size} pixels"
    if arguments.precision or arguments.xla:
        compared = variants(load, arguments.precision, arguments.xla)
        epochs = {name: through(build(each).train_step, batches) for name, each in compared.items()}
        show(seconds(epochs, arguments.rounds), title, "of float32")
        return
    trainer = build(config)
    rate = optimizer.LearningRate(stages.plan_stages(settings)[-1], steps, settings)
    apart = build(config)
    epochs = {
        "an epoch of the Trainer": lambda: trainer.fit(
            drawn, steps_per_epoch=steps, verbose=0, callbacks=[rate]
        ),
        "its steps, batches in memory": through(apart.train_step, batches),
        "forward and backward of the branches": through(branches(apart.model), batches),
    }
    show(seconds(epochs, arguments.rounds), title, "of an epoch")
    spent = parts(epochs["its steps, batches in memory"], steps)
    whole = sum(spent.values())
    table = Table("ms a step", "forward", "backward", "share", title="What a step is spent on")
    for part in sorted({part for part, _ in spent}, key=lambda part: -_both(spent, part)):
        forward, backward = (f"{spent.get((part, each), 0.0):.1f}" for each in (False, True))
        table.add_row(part, forward, backward, f"{_both(spent, part) / whole:.3f}")
    tables.show(table)


def show(found: dict[str, float], title: str, share: str) -> None:
    """Prints seconds, and their ratio to the first."""
    table = Table("", "seconds", share, title=title)
    whole = next(iter(found.values()))
    for name, taken in found.items():
        table.add_row(name, f"{taken:.2f}", f"{taken / whole:.2f}")
    tables.show(table)


def _both(spent: dict[tuple[str, bool], float], part: str) -> float:
    return spent.get((part, False), 0.0) + spent.get((part, True), 0.0)


if __name__ == "__main__":
    main()

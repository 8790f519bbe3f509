"""How long ServingValidator takes beside what it cannot do without: the start of a model server.

    python -m benchmarks.serving_start --model serving_model/dexmatch

Both are measured in turn, on the newest version: a server from its start to its first answer, and
the component's whole executor, which boots one and asks it everything. The bar is twice the start.
What Python imports for the executor does not count: a run has it by then.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from benchmarks.serving import newest
from components.serving_validator import executor
from core import features, terminal
from core.config import ServingConfig
from core.errors import DexmatchError
from results import serving_report
from serving import client, engines

BAR = 2.0
BATCHING = Path("serving_model/batching.config")
_CAPTION = "a small red creature"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", type=Path, default=Path("serving_model/dexmatch"))
    parser.add_argument("--batching", type=Path, default=BATCHING)
    parser.add_argument("--engine", choices=engines.ENGINES, default="embedded")
    parser.add_argument("--side", type=int, default=64, help="pixels of the pictures")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    try:
        measure(arguments)
    except DexmatchError as error:
        raise SystemExit(f"Error: {error}") from None


def measure(arguments: argparse.Namespace) -> None:
    """Prints the seconds of each repetition, and how the medians compare."""
    starts, wholes = [], []
    version = newest(arguments.model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        settings = ServingConfig(engine=arguments.engine)
        pictures = write_examples(folder / "examples", settings.pairs, arguments.side)
        for number in range(1, arguments.repeats + 1):
            starts.append(first_answer(arguments, pictures[0]))
            wholes.append(validate(version, folder, settings, arguments, number))
            terminal.output.print(
                f"{number}: first answer after {starts[-1]:.1f} s, "
                f"ServingValidator {wholes[-1]:.1f} s"
            )
    ratio = statistics.median(wholes) / statistics.median(starts)
    terminal.output.print(f"ServingValidator takes {ratio:.2f} times the start (bar: {BAR:g})")


def write_examples(folder: Path, pairs: int, side: int) -> list[bytes]:
    """Writes a test split of true pairs with pictures of noise; returns the pictures as PNG."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 255, (pairs, side, side, 3)).astype(np.uint8)
    pictures = [tf.io.encode_png(picture).numpy() for picture in noise]
    split = folder / "Split-test"
    split.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(split / "pairs.gz"), options) as writer:
        for number, picture in enumerate(pictures):
            example = tf.train.Example()
            feature = example.features.feature
            feature[features.LABEL].int64_list.value.append(1)
            for name, value in (
                (features.ID, b"%d" % number),
                (features.GROUP, b"%d" % number),
                (features.IMAGE, picture),
                (features.CAPTION, _CAPTION.encode()),
            ):
                feature[name].bytes_list.value.append(value)
            writer.write(example.SerializeToString())
    return pictures


def first_answer(arguments: argparse.Namespace, picture: bytes) -> float:
    """Seconds from the start of a server to its first answer."""
    options = engines.Options(
        model_name=client.DEFAULT_MODEL,
        base_path=arguments.model.resolve(),
        batching_config=arguments.batching,
        grpc_port=0,
        rest_port=0,
    )
    start = time.perf_counter()
    with engines.running(engines.choose(arguments.engine), options) as server:
        with client.open_model(server.rest_url) as model:
            model.score([picture], [_CAPTION])
        return time.perf_counter() - start


def validate(
    version: Path,
    folder: Path,
    settings: ServingConfig,
    arguments: argparse.Namespace,
    number: int,
) -> float:
    """Seconds of ServingValidator's executor.

    Raises:
      DexmatchError: a check failed, so not all of them were made.
    """
    model, verdict = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
    examples, blessing = standard_artifacts.Examples(), standard_artifacts.InfraBlessing()
    model.uri, verdict.uri = str(folder / "model"), str(folder / "verdict")
    examples.uri, blessing.uri = str(folder / "examples"), str(folder / f"infra-{number}")
    verdict.set_int_custom_property("blessed", 1)
    examples.split_names = artifact_utils.encode_split_names(["test"])
    place_once(version, folder)
    start = time.perf_counter()
    executor.Executor().Do(
        {
            executor.MODEL: [model],
            executor.MODEL_BLESSING: [verdict],
            executor.EXAMPLES: [examples],
        },
        {executor.BLESSING: [blessing]},
        {
            executor.SETTINGS: settings.model_dump(mode="json"),
            executor.SPLIT: "test",
            executor.SEED: 1,
            executor.IMAGE_SIZE: arguments.side,
            executor.BATCHING: arguments.batching.read_text(encoding="utf-8"),
        },
    )
    seconds = time.perf_counter() - start
    if failures := serving_report.load(blessing.uri).failures:
        raise DexmatchError(f"{version}: {failures[0].name}: {failures[0].found}")
    return seconds


def place_once(version: Path, folder: Path) -> None:
    """Puts the model where the Trainer would have left it."""
    link = folder / "model" / "Format-Serving"
    if link.is_symlink():
        return
    link.parent.mkdir()
    link.symlink_to(version.resolve())


if __name__ == "__main__":
    main()

"""How long a search among indexed pictures takes, in a process and from the shell.

`Index.search` scores every embedding with the caption's through the served matcher, so that what it
shows is the probability; a search by cosine similarity alone would be a matrix times a vector. Both
are timed in turn, in one process, over the same synthetic embeddings. A search is a caption encoded
and all pictures ranked; the first one of the process stands apart. Loading the model and opening
the index come before it, and are shown too.

Then the whole command is timed, `dexmatch search` with an index of as many pictures, beside a
process that does no more than import TensorFlow.

    PYTHONPATH=. .venv/bin/python benchmarks/search.py --pictures 10000
    PYTHONPATH=. .venv/bin/python benchmarks/search.py --model serving_model/dexmatch
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from serving.client import Client, open_model
from serving.search.index import DEFAULT_NAME, Index, best

WORDS = ("a", "red", "blue", "bird", "fish")
ATTRIBUTE_SIZES = (12, 10, 8, 30)
"""As many values as the demo's metadata has, or more."""
TOP = 10
CAPTION = "a red bird"
COMMAND_RUNS = 3
DEXMATCH = "from pipeline.cli import main; main()"


def save_model(folder: Path, join: str) -> None:
    """Saves a model of the default size with random weights: the time does not depend on them."""
    from core.config import ModelConfig
    from modules.export import signatures
    from modules.network import model

    vocabulary = folder / "words.txt"
    vocabulary.write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    settings = ModelConfig(join=join)
    built = model.build(settings, 64, 48, len(WORDS) + 2, ATTRIBUTE_SIZES)
    made = signatures.ServingModel(built, str(vocabulary), 64, 48, settings.embedding_dim)
    signatures.save(made, str(folder / "model" / "1"))


def milliseconds(work: Callable[[], object]) -> float:
    """How long it takes, once."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def filled(index: Index, folder: Path, pictures: int) -> Index:
    """The index with random embeddings, and a folder with files for it, which nobody will read."""
    generator = np.random.default_rng(0)
    width = index.probe.shape[1]
    for number in range(pictures):
        (folder / f"{number}.png").touch()
    changes = index.compare(folder.glob("*.png"))
    index.stamps = dict(changes.stamps)
    index.embeddings = generator.standard_normal((pictures, width)).astype(np.float32)
    return index


def in_process(client: Client, index: Index, repeats: int) -> None:
    """Measures and prints searches in this process."""

    def search() -> None:
        index.search(client, client.encode_captions([CAPTION])[0], TOP)

    first = milliseconds(search)
    query = client.encode_captions([CAPTION])[0]
    took = np.array(
        [
            (milliseconds(search), milliseconds(lambda: best(index.embeddings @ query, TOP)))
            for _ in range(repeats)
        ]
    )
    (median, dot), worst = np.median(took, axis=0), took[:, 0].max()
    pictures, width = index.embeddings.shape
    print(f"{pictures:,} pictures, embeddings of {width} numbers, {repeats} searches")
    print(f"search, the first             {first:8.1f} ms")
    print(f"search, median                {median:8.1f} ms   slowest {worst:.1f} ms")
    print(f"NumPy dot product, median     {dot:8.1f} ms   search: {median / dot:.1f} times")


def from_the_shell(model: Path, folder: Path) -> None:
    """Measures and prints the whole command, with the index in the folder."""
    search = [*("-c", DEXMATCH, "search", CAPTION), "--images", str(folder), "--model", str(model)]

    def run(arguments: Sequence[str]) -> None:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=True
        )
        assert "search" not in arguments or "encoded now 0," in done.stderr, done.stderr

    took = np.median(
        [
            (
                milliseconds(lambda: run(search)),
                milliseconds(lambda: run(["-c", "import tensorflow"])),
                milliseconds(lambda: run(["-c", DEXMATCH, "--help"])),
            )
            for _ in range(COMMAND_RUNS)
        ],
        axis=0,
    )
    for name, each in zip(
        ("dexmatch search", "python -c 'import tensorflow'", "dexmatch --help"), took, strict=True
    ):
        print(f"{name:30}{each / 1000:8.2f} s    median of {COMMAND_RUNS} processes")


def measure(model: Path, pictures: int, repeats: int) -> None:
    """Measures and prints all."""
    began = time.perf_counter()
    client = open_model(model)
    loaded = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        index = Index.empty(folder, client)
        print(f"TensorFlow and model loaded   {loaded - began:8.2f} s")
        print(f"index opened, model warm      {time.perf_counter() - loaded:8.2f} s")
        in_process(client, filled(index, folder, pictures), repeats)
        index.save(folder / DEFAULT_NAME)
        from_the_shell(model, folder)


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--model", type=Path, help="of a pushed model instead of random weights")
    parser.add_argument("--join", choices=("cosine", "concat"), default="cosine")
    arguments = parser.parse_args()
    if arguments.model:
        measure(arguments.model, arguments.pictures, arguments.repeats)
        return
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), arguments.join)
        measure(Path(folder) / "model", arguments.pictures, arguments.repeats)


if __name__ == "__main__":
    main()

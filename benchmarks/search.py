"""How long a search among indexed pictures takes, in a process and from the shell.

`Index.search` ranks the pictures by the probability that a caption describes them: see
`serving.search.ranking`. It is timed beside NumPy's product of the embeddings' matrix and the
caption's vector, in turn, in one process. The first search of the process stands apart; loading the
model and opening the index come before it, and are shown too, and so is encoding the caption. Then
the first ten are compared with those of all pictures scored by the model.

Embeddings are those of a data set's pictures and of their neighbours: mixtures of two, with noise.
Without `--dataset` they are noise alone, which lies in no direction more than in others, as no
model's embeddings do: the worst case for the time.

At last the whole command is timed, `dexmatch search` with an index of as many pictures, beside a
process that does no more than import TensorFlow (for at most 20,000 pictures: it needs the files).

    python -m benchmarks.search --pictures 10000
    python -m benchmarks.search --model serving_model/dexmatch \
        --dataset datasets/demo --pictures 1000000 --repeats 10 --captions 20
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from core import features
from serving.client import Client, open_model
from serving.search.index import DEFAULT_NAME, Index
from serving.search.ranking import best

WORDS = ("a", "red", "blue", "bird", "fish")
ATTRIBUTE_SIZES = (12, 10, 8, 30)
"""As many values as the demo's metadata has, or more."""
TOP = 10
CAPTION = "a red bird"
COMMAND_RUNS = 3
MOST_FILES = 20_000
QUERIES = 1000
LARGEST_SHARE = 0.5
"""Of the other picture in a mixture."""
NOISE = 0.1
"""As a share of each number's own standard deviation."""
ROUNDING = 1e-6
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


def generated(width: int, pictures: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise: float32 [N, D], and captions' [C, D]."""
    generator = np.random.default_rng(0)
    return (
        generator.standard_normal((pictures, width), dtype=np.float32),
        generator.standard_normal((QUERIES, width), dtype=np.float32),
    )


def enlarged(client: Client, dataset: Path, pictures: int) -> tuple[np.ndarray, np.ndarray]:
    """A data set's pictures and neighbours of theirs: float32 [N, D], and its captions' [C, D]."""
    from data import dataset as datasets
    from data import pair_examples

    files = [str(dataset / shard.name) for shard in datasets.load(dataset).files]
    examples = list(pair_examples.read_examples(files))
    texts = [pair_examples.first_bytes(each, features.CAPTION).decode() for each in examples]
    contents = (pair_examples.first_bytes(each, features.IMAGE) for each in examples)
    images = client.encode_images(list(dict.fromkeys(contents)))
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, len(images), (2, pictures))
    share = generator.uniform(0, LARGEST_SHARE, (pictures, 1)).astype(np.float32)
    found = images[first]
    found += share * (images[second] - found)
    for noise in np.array_split(found, max(1, pictures // 10_000)):
        noise += generator.standard_normal(noise.shape, np.float32) * (NOISE * images.std(axis=0))
    return found, client.encode_captions([texts[at] for at in generator.permutation(len(texts))])


def in_process(client: Client, index: Index, queries: np.ndarray, repeats: int) -> None:
    """Measures and prints searches in this process."""
    asked = itertools.cycle(queries)
    encode = [milliseconds(lambda: client.encode_captions([CAPTION])) for _ in range(repeats)]
    print(f"encoding a caption, median    {np.median(encode):8.2f} ms")
    first = milliseconds(lambda: index.search(client, next(asked), TOP))
    took = np.array(
        [
            (
                milliseconds(lambda: index.search(client, next(asked), TOP)),
                milliseconds(lambda: index.embeddings @ next(asked)),
                milliseconds(lambda: best(index.embeddings @ next(asked), TOP)),
            )
            for _ in range(repeats)
        ]
    )
    search, product, top = np.median(took, axis=0)
    pictures, width = index.embeddings.shape
    print(f"{pictures:,} pictures, embeddings of {width} numbers, {repeats} searches")
    print(f"search, the first             {first:8.2f} ms")
    print(f"search, median                {search:8.2f} ms   slowest {took[:, 0].max():.2f} ms")
    print(f"NumPy product, median         {product:8.2f} ms   search: {search / product:.2f} times")
    print(f"NumPy product and its first {TOP}{top:8.2f} ms   search: {search / top:.2f} times")


def agreement(client: Client, index: Index, queries: np.ndarray) -> None:
    """Prints for how many captions the first ten are those of scoring all pictures."""
    agreeing = 0
    for query in queries:
        found = [(hit.path, hit.probability) for hit in index.search(client, query, TOP)]
        exhaustive = index.search_all(client, query, TOP)
        # Where two differ by no more than rounding, either may come first.
        agreeing += all(
            mine == theirs.path or abs(probability - theirs.probability) < ROUNDING
            for (mine, probability), theirs in zip(found, exhaustive, strict=True)
        )
    print(f"the first {TOP} as by scoring all: {agreeing} of {len(queries)} captions")


def opening(index: Index, file: Path) -> None:
    """Measures and prints how long an index takes to be written and read."""
    print(f"index written                 {milliseconds(lambda: index.save(file)) / 1000:8.2f} s")
    read = milliseconds(lambda: Index.load(file, index.folder))
    print(
        f"index read                    {read / 1000:8.2f} s   {file.stat().st_size / 1e6:.0f} MB"
    )


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


def measure(arguments: argparse.Namespace, model: Path) -> None:
    """Measures and prints all."""
    began = time.perf_counter()
    client = open_model(model)
    loaded = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder, pictures = Path(scratch), arguments.pictures
        index = Index.empty(folder, client)
        print(f"TensorFlow and model loaded   {loaded - began:8.2f} s")
        print(f"model warm                    {time.perf_counter() - loaded:8.2f} s")
        index.embeddings, queries = (
            enlarged(client, arguments.dataset, pictures)
            if arguments.dataset
            else generated(index.probe.shape[1], pictures)
        )
        index.stamps = {f"{number}.png": (0, 0) for number in range(pictures)}
        in_process(client, index, queries, arguments.repeats)
        agreement(client, index, queries[: arguments.captions])
        opening(index, folder / DEFAULT_NAME)
        if pictures <= MOST_FILES:
            for name in index.stamps:
                (folder / name).touch()
            index.stamps = dict(index.compare(folder.glob("*.png")).stamps)
            index.save(folder / DEFAULT_NAME)
            from_the_shell(model, folder)


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--captions", type=int, default=100, help="compared with scoring all")
    parser.add_argument("--model", type=Path, help="a pushed model instead of random weights")
    parser.add_argument("--dataset", type=Path, help="that the model knows, instead of noise")
    parser.add_argument("--join", choices=("cosine", "concat"), default="cosine")
    arguments = parser.parse_args()
    if arguments.model:
        measure(arguments, arguments.model)
        return
    if arguments.dataset:
        parser.error("--dataset needs --model: random weights make no neighbours")
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), arguments.join)
        measure(arguments, Path(folder) / "model")


if __name__ == "__main__":
    main()

"""How long a search among indexed pictures takes, beside a plain dot product.

`Index.search` scores every embedding with the caption's through the served matcher, so that what it
shows is the probability; a search by closeness alone would be a matrix times a vector. Both are
timed in turn, in one process, over the same synthetic embeddings; loading is not counted.

    PYTHONPATH=. .venv/bin/python benchmarks/search.py --pictures 10000
    PYTHONPATH=. .venv/bin/python benchmarks/search.py --model serving_model/dexmatch
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from modules import model, signatures
from pipeline.config import ModelConfig
from serving.client import open_model
from serving.search.index import Index, best

WORDS = ("a", "red", "blue", "bird", "fish")
ATTRIBUTE_SIZES = (12, 10, 8, 30)
"""As many values as the demo's metadata has, or more."""
TOP = 10


def save_model(folder: Path, join: str) -> None:
    """Saves a model of the default size with random weights: the time does not depend on them."""
    vocabulary = folder / "words.txt"
    vocabulary.write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    settings = ModelConfig(join=join)
    built = model.build(settings, 64, 48, len(WORDS) + 2, ATTRIBUTE_SIZES)
    made = signatures.ServingModel(built, str(vocabulary), 64, 48, settings.embedding_dim)
    signatures.save(made, str(folder / "1"))


def milliseconds(work: Callable[[], object]) -> float:
    """How long it takes, once."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def measure(folder: Path, pictures: int, repeats: int) -> None:
    """Measures and prints."""
    client = open_model(folder)
    query = client.encode_captions(["a red bird"])[0]
    generator = np.random.default_rng(0)
    embeddings = generator.standard_normal((pictures, len(query))).astype(np.float32)
    index = Index.empty(Path("pictures"), client)
    index.stamps = {f"{number}.png": (1, 1) for number in range(pictures)}
    index.embeddings = embeddings
    first = milliseconds(lambda: index.search(client, query, TOP))
    took = np.array(
        [
            (
                milliseconds(lambda: index.search(client, query, TOP)),
                milliseconds(lambda: best(embeddings @ query, TOP)),
            )
            for _ in range(repeats)
        ]
    )
    (search, dot), worst = np.median(took, axis=0), took[:, 0].max()
    print(f"{pictures:,} pictures, embeddings of {len(query)} numbers, {repeats} searches")
    print(f"Index.search, the first       {first:8.1f} ms")
    print(f"Index.search, median          {search:8.1f} ms   slowest {worst:.1f} ms")
    print(f"NumPy dot product, median     {dot:8.1f} ms   Index.search: {search / dot:.1f} times")


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
        measure(Path(folder), arguments.pictures, arguments.repeats)


if __name__ == "__main__":
    main()

"""Small pictures and sources, and a way to read a data set back."""

import functools
import io
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data import shard_writer, workers
from data.dataset import Dataset


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Makes an encoded picture: `encode("JPEG", mode="CMYK", seed=3, quality=90)`."""

    def make(
        kind: str = "PNG",
        mode: str = "RGB",
        size: tuple[int, int] = (33, 20),
        seed: int = 0,
        **options: object,
    ) -> bytes:
        file = io.BytesIO()
        picture(mode, size, seed).save(file, format=kind, **options)
        return file.getvalue()

    return make


def picture(mode: str, size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Smooth random colours with some transparency."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 4), dtype=np.uint8)
    image = Image.fromarray(noise, "RGBA").resize(size, Image.Resampling.BICUBIC)
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256 + 17)
    return image.convert("RGB").convert(mode) if mode == "P" else image.convert(mode)


@pytest.fixture
def images(tmp_path: Path, encode: Callable[..., bytes]) -> Path:
    """A source folder with the pictures 0.png to 9.png, all different."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.png").write_bytes(encode(seed=number))
    return folder


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes shards in this process: no seconds spent on starting workers."""

    def run(_function: str, tasks: Iterator[object], *_: object) -> Iterator[object]:
        for task in tasks:
            yield shard_writer.write(task)

    monkeypatch.setattr(workers, "run_in_order", run)


@pytest.fixture
def certificates_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads the certificates to trust once: a tenth of a second for each client."""
    monkeypatch.setattr(httpx, "create_ssl_context", _ssl_context)


_ssl_context = functools.cache(httpx.create_ssl_context)


@pytest.fixture(scope="session")
def pokeapi(test_module: Callable[[str], types.ModuleType]) -> types.ModuleType:
    """The module `pokeapi_server`."""
    return test_module("data/pokeapi_server.py")


@pytest.fixture
def pokeapi_server(pokeapi: types.ModuleType, certificates_once: None) -> Iterator[Any]:
    """One of its servers, with nothing on it."""
    with pokeapi.running() as running:
        yield running


def read_pairs(dataset: Dataset) -> list[dict[str, object]]:
    """All pairs of a data set, in order: feature name to value, or to a list of several."""
    pairs = []
    for shard in dataset.files:
        records = tf.data.TFRecordDataset(str(dataset.path / shard.name), "GZIP")
        shard_pairs = [parse(record) for record in records.as_numpy_iterator()]
        assert len(shard_pairs) == shard.examples
        pairs += shard_pairs
    return pairs


def parse(record: bytes) -> dict[str, object]:
    """A serialised example as a dict; text is decoded, pictures are not."""
    example = tf.train.Example.FromString(record)
    pair: dict[str, object] = {}
    for name, feature in example.features.feature.items():
        values = list(getattr(feature, feature.WhichOneof("kind")).value)
        if feature.HasField("bytes_list") and name != "image":
            values = [value.decode() for value in values]
        pair[name] = values[0] if len(values) == 1 and name != "hard_caption" else values
    return pair


@pytest.fixture(name="read_pairs")
def read_pairs_fixture() -> Callable[[Dataset], list[dict[str, object]]]:
    """`read_pairs`, for test modules, which cannot import this one."""
    return read_pairs

"""Models that are made, saved and loaded in seconds, for the tests of clients and commands."""

from pathlib import Path

import keras
import pytest

from modules import model, signatures, weights
from pipeline.config import ModelConfig

SIZE, MAX_TOKENS, WIDTH = 32, 6, 8
WORDS = ("a", "red", "blue", "green", "bird", "fish")


def _backbone(backbone, weights, size):
    pixels = keras.Input((size, size, 3))
    values = keras.layers.Rescaling(1 / 255)(pixels)
    values = keras.layers.Conv2D(4, 3, strides=4)(values)
    return keras.Model(pixels, values, name="tiny")


def push(base: Path, version: int, seed: int = 1, width: int = WIDTH) -> Path:
    """Saves a model as `<base>/<version>`; another seed, other answers."""
    folder = base / str(version)
    folder.mkdir(parents=True)
    vocabulary = base / "words.txt"
    vocabulary.write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    settings = ModelConfig(
        embedding_dim=width,
        recurrent_units=8,
        word_dim=8,
        hidden_units=8,
        color_bins=2,
        stages=("top",),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "load_backbone", _backbone)
        keras.utils.set_random_seed(seed)
        built = model.build(settings, SIZE, MAX_TOKENS, len(WORDS) + 2)
    made = signatures.ServingModel(built, str(vocabulary), SIZE, MAX_TOKENS, width)
    signatures.save(made, str(folder))
    vocabulary.unlink()
    return folder

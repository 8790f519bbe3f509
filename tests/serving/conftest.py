"""Models in miniature for everything that serves: one like those pushed, and a toy."""

import importlib.util
from pathlib import Path

import pytest


def _load():
    path = Path(__file__).with_name("core_support.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def models():
    """The functions of `core_support`."""
    return _load()


@pytest.fixture(scope="session")
def pushed(models, tmp_path_factory):
    """`<tmp>/dexmatch` with version 1: a real ServingModel over a backbone saved in seconds."""
    folder = tmp_path_factory.mktemp("pushed") / "dexmatch"
    models.push(folder / "1")
    return folder


@pytest.fixture(scope="session")
def toy(models, tmp_path_factory):
    """`<tmp>/toy` with version 1: signatures of every type and shape; see `core_support.Toy`."""
    folder = tmp_path_factory.mktemp("toys") / "toy"
    models.save_toy(folder / "1", offset=1)
    return folder

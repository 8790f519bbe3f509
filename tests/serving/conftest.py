"""Models in miniature for everything that serves: one like those pushed, and a toy."""

import pytest


@pytest.fixture(scope="session")
def models(test_module):
    """The functions of `core_support`."""
    return test_module("serving/core_support.py")


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

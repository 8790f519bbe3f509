"""Trainings in miniature, for the tests of everything that takes part in one."""

import importlib.util
from pathlib import Path

import pytest


def _load():
    path = Path(__file__).with_name("training_runs.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def runs():
    """The functions of `training_runs`."""
    return _load()


@pytest.fixture(scope="session")
def transformed(runs, tmp_path_factory):
    """A folder with a transform graph, and files of 12 transformed pairs."""
    folder = tmp_path_factory.mktemp("transformed")
    runs.write_transformed(folder)
    return folder


@pytest.fixture
def tiny_backbone(runs, monkeypatch):
    """A backbone that is traced in seconds instead of EfficientNet."""
    monkeypatch.setattr(runs.model.weights, "load_backbone", runs.tiny_backbone)

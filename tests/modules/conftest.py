"""Trainings in miniature, for the tests of everything that takes part in one."""

import pytest


@pytest.fixture(scope="session")
def runs(test_module):
    """The functions of `training_runs`."""
    return test_module("modules/training_runs.py")


@pytest.fixture(scope="session")
def transformed(runs, tmp_path_factory):
    """A folder with a transform graph, and files of 12 transformed pairs."""
    folder = tmp_path_factory.mktemp("transformed")
    runs.write_transformed(folder)
    return folder


@pytest.fixture
def tiny_backbone(runs, monkeypatch):
    """A backbone that is traced in seconds instead of EfficientNet."""
    monkeypatch.setattr(runs.model.backbones, "load_backbone", runs.tiny_backbone)

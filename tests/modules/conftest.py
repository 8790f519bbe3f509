"""Trainings in miniature, for the tests of everything that takes part in one."""

import pytest


@pytest.fixture(scope="session")
def runs(test_module):
    """The functions of `training_runs`."""
    return test_module("modules/training_runs.py")


@pytest.fixture(scope="session")
def transformed(runs, made_once):
    """A folder with a transform graph, and files of 12 transformed pairs."""
    return made_once("transformed", runs.write_transformed)


@pytest.fixture(scope="module")
def tiny_backbone(runs):
    """A backbone that is traced in seconds instead of EfficientNet, to the end of the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.model.backbones, "load_backbone", runs.tiny_backbone)
        yield runs.tiny_backbone

"""Trainings in miniature, for the tests of everything that takes part in one."""

import pytest


@pytest.fixture(scope="module")
def tiny_backbone(runs):
    """A backbone that is traced in seconds instead of EfficientNet, to the end of the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.model.backbones, "load_backbone", runs.tiny_backbone)
        yield runs.tiny_backbone

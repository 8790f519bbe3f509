"""Artifacts in miniature, for the components that tell of many."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small():
    """The functions of `small_artifacts`."""
    path = Path(__file__).with_name("small_artifacts.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

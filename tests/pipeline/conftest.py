"""Runs in miniature for the commands that look back at them."""

import pytest
from typer.testing import CliRunner

from core.errors import DexmatchError
from pipeline.cli import app


@pytest.fixture(scope="session")
def support(test_module):
    """The functions of `runs_support`."""
    return test_module("pipeline/runs_support.py")


@pytest.fixture(scope="session")
def project(made_once):
    """A project's folder with the data set `datasets/mine`, of 30 small pictures."""
    from data import importer
    from data.demo import generator

    def fill(folder):
        generator.write_folder(folder / "pictures", count=30, size=16)
        pairs = folder / "pictures" / "captions.csv"
        importer.import_pairs(pairs, folder / "datasets" / "mine", say=lambda _: None)

    return made_once("project", fill)


@pytest.fixture(scope="session")
def ask():
    """Runs a command; raises what the user would be told in one line."""

    def invoke(*arguments, status=0, width=80):
        from core import terminal

        terminal.output.width = width
        try:
            done = CliRunner().invoke(app, [str(each) for each in arguments])
        finally:
            terminal.output._width = None
        if isinstance(done.exception, DexmatchError):
            raise done.exception
        assert done.exit_code == status, (done.output, done.exception)
        return done

    return invoke

"""Runs in miniature for the commands that look back at them."""

import contextlib
import signal
import subprocess
import threading
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from core.errors import DexmatchError
from pipeline.cli import app

_PATIENCE_S = 120


@pytest.fixture
def until_stopped(dexmatch_command, foreign_folder):
    """Runs a command for the length of a block, then stops it by a signal.

    It runs in anybody's folder, or in the one that is named.

    The block is given its standard error as `said`; afterwards `rest` is what the block did not
    read of it, and `status` the exit status.
    """

    @contextlib.contextmanager
    def run(*arguments, number=signal.SIGINT, cwd=foreign_folder):
        process = subprocess.Popen(
            [*dexmatch_command, *arguments],
            cwd=cwd,
            stderr=subprocess.PIPE,
            text=True,
            # Who runs the tests in the background ignores it, and so would every child.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        hurry = threading.Timer(_PATIENCE_S, process.kill)
        hurry.start()
        running = SimpleNamespace(said=process.stderr)
        try:
            yield running
        finally:
            process.send_signal(number)
            running.rest = process.stderr.read()
            hurry.cancel()
            running.status = process.wait(60)
            process.stderr.close()

    return run


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

import io
import logging

import pytest
from rich.console import Console

from core import progress as core_progress
from core import reporting, terminal
from pipeline import progress


@pytest.fixture
def lines(monkeypatch):
    """What the user sees where the output is no terminal."""
    screen = io.StringIO()
    monkeypatch.setattr(terminal, "console", Console(file=screen, width=200))
    monkeypatch.setattr(core_progress, "LINE_INTERVAL", 0)
    return screen


def _work(components: int) -> None:
    absl = logging.getLogger("absl")
    absl.setLevel(logging.INFO)
    with progress.run_progress() as shown:
        shown.expect(components)
        absl.info("Component StatisticsGen is running.")
        absl.info("something else")
        absl.info("Component StatisticsGen is finished.")
        absl.info("node Trainer is running.")
        reporting.report("epoch 3 of 30", 3, 30)
        absl.info("node Trainer is finished.")


def test_plain_lines_name_components_and_what_they_say(lines):
    _work(11)
    assert lines.getvalue().splitlines() == [
        "loading TensorFlow and TFX",
        "[ 1/11] StatisticsGen",
        "[ 2/11] Trainer",
        "        epoch 3 of 30 (10%)",
    ]


def test_warnings_of_components_are_said(lines):
    with progress.run_progress():
        logging.getLogger(f"{reporting.LOGGER}.data").warning("few pairs")
        logging.getLogger("tensorflow").warning("something else")
    assert lines.getvalue().splitlines()[1:] == ["warning: few pairs"]


def test_a_terminal_gets_bars_that_go_away(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, width=120, force_terminal=True)
    monkeypatch.setattr(terminal, "console", console)
    _work(2)
    assert "Trainer" in screen.getvalue()
    assert "epoch 3 of 30" in screen.getvalue()


def test_the_loggers_are_left_as_they_were(lines):
    root, ours = logging.getLogger(), logging.getLogger(reporting.LOGGER)
    before = root.handlers[:], ours.level
    _work(1)
    assert (root.handlers, ours.level) == before

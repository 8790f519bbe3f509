"""What users see while they wait."""

import io
import time

import pytest
from rich.console import Console

from core import terminal


@pytest.fixture
def screen(monkeypatch):
    """Makes the console write into a text buffer; call it with whether that is a terminal."""

    def make(is_terminal):
        console = Console(file=io.StringIO(), force_terminal=is_terminal, width=100)
        monkeypatch.setattr(terminal, "console", console)
        return console.file

    return make


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(terminal, "PATIENCE", 0.1)
    monkeypatch.setattr(terminal, "LINE_INTERVAL", 0.2)


def test_say_takes_brackets_as_they_are(screen):
    text = screen(False)
    terminal.say("images[0] [bold]x[/]")
    assert text.getvalue() == "images[0] [bold]x[/]\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_short_work_shows_nothing(screen, is_terminal):
    text = screen(is_terminal)
    with terminal.progress("Counting", 3) as done:
        done(3)
    assert text.getvalue() == ""


@pytest.mark.usefixtures("impatient")
def test_lines_are_sparse_and_tell_rate_and_time_left(screen):
    text = screen(False)
    with terminal.progress("Counting", 1000) as done:
        for number in range(40):
            done(number * 10)
            time.sleep(0.01)
    lines = text.getvalue().splitlines()
    assert 1 <= len(lines) <= 4
    assert lines[0].startswith("Counting: ")
    assert " of 1,000 (" in lines[0]
    assert lines[0].endswith(" s left")
    assert "/s, " in lines[0]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("done_so_far", [0, 7])
def test_lines_without_a_total(screen, done_so_far):
    text = screen(False)
    with terminal.progress("Looking") as done:
        done(done_so_far)
        time.sleep(0.2)
    assert text.getvalue().startswith("Looking: " + ("7, " if done_so_far else "..."))


@pytest.mark.usefixtures("impatient")
def test_a_bar_goes_away_when_the_work_ends(screen):
    text = screen(True)
    with terminal.progress("Counting", 10) as done:
        done(5)
        time.sleep(0.5)
    shown = text.getvalue()
    assert "Counting" in shown
    assert "50%" in shown
    assert "/s" in shown
    assert shown.endswith("\x1b[2K")


@pytest.mark.usefixtures("impatient")
def test_the_display_ends_with_an_error(screen):
    text = screen(False)
    with pytest.raises(ValueError, match="x"), terminal.progress("Counting", 10):
        raise ValueError("x")
    before = text.getvalue()
    time.sleep(0.3)
    assert text.getvalue() == before

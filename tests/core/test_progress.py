"""What users see while they wait."""

import io
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from core import progress, terminal
from core.progress import Work, show_progress


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
    monkeypatch.setattr(progress, "PATIENCE", 0.1)
    monkeypatch.setattr(progress, "LINE_INTERVAL", 0.2)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_short_work_shows_nothing(screen, is_terminal):
    text = screen(is_terminal)
    with show_progress("Counting", 3) as done:
        done(3)
    assert text.getvalue() == ""


@pytest.mark.usefixtures("impatient")
def test_lines_are_sparse_and_tell_rate_and_time_left(screen):
    text = screen(False)
    with show_progress("Counting", 1000) as done:
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
    with show_progress("Looking") as done:
        done(done_so_far)
        # A busy machine may not come to the first line for a while.
        for _ in range(100):
            if text.getvalue():
                break
            time.sleep(0.1)
    assert text.getvalue().startswith("Looking: " + ("7, " if done_so_far else "..."))


@pytest.mark.usefixtures("impatient")
def test_a_bar_goes_away_when_the_work_ends(screen):
    text = screen(True)
    with show_progress("Counting", 10) as done:
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
    with pytest.raises(ValueError, match="x"), show_progress("Counting", 10):
        raise ValueError("x")
    before = text.getvalue()
    time.sleep(0.3)
    assert text.getvalue() == before


@pytest.fixture
def clock(monkeypatch):
    """The time as `Work` has it, in seconds."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_time_left_is_told_in_seconds_or_in_hours_minutes_and_seconds(clock):
    work = Work("Counting", 1000)
    assert work.line == "Counting: 0 of 1,000 (0%)"
    clock.now += 10
    work.set_done(500)
    assert work.line == "Counting: 500 of 1,000 (50%), 50.0/s, 10 s left"
    clock.now += 90
    assert work.line == "Counting: 500 of 1,000 (50%), 5.0/s, 0:01:40 left"


def test_the_pace_of_resumed_work_does_not_count_what_was_done_before(clock):
    work = Work("")
    work.update("resuming", 80, 100)
    assert (work.share, work.pace) == ("80%", "")
    clock.now += 2
    work.update("epoch 9", 84, 100)
    assert work.line == "epoch 9: 84 of 100 (84%), 2.0/s, 8 s left"


def test_other_units_are_counted_anew(clock):
    work = Work("")
    work.update("encoding", 0, 100)
    clock.now += 1
    work.update("encoding", 100, 100)
    work.update("ranking", 1, 5)
    assert work.pace == ""
    clock.now += 4
    work.update("ranking", 3, 5)
    assert work.line == "ranking: 3 of 5 (60%), 0.5/s, 4 s left"

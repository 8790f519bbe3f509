"""The server's own log cannot be forged, nor filled."""

import logging

import pytest

from serving.server import log


@pytest.fixture
def written():
    """A logger, and the list of what it writes."""
    lines = []

    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(self.format(record))

    clock = [0.0]
    handler = Lines()
    handler.setFormatter(log.LineFormatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(log.RateLimit(clock=lambda: clock[0]))
    logger = logging.getLogger("test_log")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, lines, clock
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("a\nERROR root: forged", r"a\nERROR root: forged"),
        ("a\r\x1b[2Kb", r"a\r\x1b[2Kb"),
        ("\u2028\u2029\x85\x0b", r"\u2028\u2029\x85\x0b"),
        ("\u202etxt", r"\u202etxt"),
        ("ä 东 🦉", "ä 东 🦉"),
    ],
)
def test_what_ends_a_line_or_cannot_be_seen_is_escaped(written, sent, shown):
    logger, lines, _ = written
    logger.warning("%s is no model", sent)
    assert lines == [f"WARNING test_log: {shown} is no model"]


def test_what_is_no_utf8_is_escaped():
    """By hand: pytest's own report of what was logged could not be written."""
    record = logging.LogRecord("test_log", logging.WARNING, "", 1, "%s", ("\udcff",), None)
    assert log.LineFormatter("%(message)s").format(record) == r"\udcff"


def test_a_traceback_cannot_be_taken_for_records(written):
    logger, lines, _ = written
    try:
        raise ValueError("x\nERROR root: forged")
    except ValueError:
        logger.exception("a request failed")
    first, *others = lines[0].splitlines()
    assert first == "ERROR test_log: a request failed"
    assert others and all(line.startswith("    ") for line in others)
    assert "    ERROR root: forged" in others


def test_a_line_has_an_end(written):
    logger, lines, _ = written
    logger.warning("%s", "x" * 10**6)
    assert len(lines[0]) < 3000


def test_what_comes_again_and_again_is_left_out_and_counted(written):
    logger, lines, clock = written

    def fail(times):
        for number in range(times):
            logger.warning("bad request %d", number)

    fail(log.BURST + 5)
    logger.warning("another")
    assert len(lines) == log.BURST + 1 and lines[-1].endswith("another")
    clock[0] = log.WINDOW_S
    fail(2)
    assert [line.removeprefix("WARNING test_log: ") for line in lines[-2:]] == [
        "bad request 0 (5 more like this were left out)",
        "bad request 1",
    ]

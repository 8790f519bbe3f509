"""How far a run is: components done, and what the one at work says of itself."""

import contextlib
import logging
import re
from collections.abc import Iterator

from core import reporting, terminal
from core.progress import Bars, Lines, Work, make_display

# What LocalDagRunner and BeamDagRunner log when they come to a node.
_STARTS = re.compile(r"(?:Component|node) (\S+) is running\.")
_ENDS = re.compile(r"(?:Component|node) (\S+) is finished\.")


@contextlib.contextmanager
def run_progress() -> Iterator["RunProgress"]:
    """Shows the progress of the run inside the block, as read from its log records."""
    display = make_display()
    handler = RunProgress(display)
    root, ours = logging.getLogger(), logging.getLogger(reporting.LOGGER)
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    try:
        with display:
            display.begin_step("loading TensorFlow and TFX", 0, None)
            yield handler
    finally:
        root.removeHandler(handler)
        ours.setLevel(level)


class RunProgress(logging.Handler):
    """Turns the log records of a run into calls of a display.

    Args:
      display: its steps are the components.
    """

    def __init__(self, display: Bars | Lines):
        super().__init__()
        self._display = display
        self._components: int | None = None
        self._begun = 0
        self._work = Work("")

    def expect(self, components: int) -> None:
        """Says how many components there are."""
        self._components = components

    def emit(self, record: logging.LogRecord) -> None:
        """Looks at one record; most mean nothing to it."""
        if record.name.startswith(reporting.LOGGER) and hasattr(record, reporting.PROGRESS):
            self._work.update(record.getMessage(), *getattr(record, reporting.PROGRESS))
            self._display.show(self._work)
            return
        if record.name.startswith(reporting.LOGGER) and record.levelno == logging.WARNING:
            terminal.say(f"warning: {record.getMessage()}")
            return
        message = record.getMessage()
        if started := _STARTS.match(message):
            self._begun += 1
            self._work = Work("")
            self._display.begin_step(started[1], self._begun, self._components)
        elif _ENDS.match(message):
            self._display.end_step()

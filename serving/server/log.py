"""The server's own log: a line for each record, and not many of one kind.

What a client sends may be quoted in it, so no client may be able to make it say something else, or
to fill the disk with it.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

BURST = 20
"""Records of one place in the code that are written within `WINDOW_S`."""
WINDOW_S = 60.0
_LONGEST = 2000
"""Characters of a line."""
# What ends a line, moves the cursor, or turns the direction of writing.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def configure() -> None:
    """Makes the root logger write warnings and worse to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(RateLimit())
    logging.basicConfig(level="WARNING", handlers=[handler])


class LineFormatter(logging.Formatter):
    """Writes what cannot be seen as escapes, and indents the lines of a traceback."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return _escaped(super().formatMessage(record))

    def formatException(self, ei: _Raised) -> str:
        """See `logging.Formatter`."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"    {_escaped(line)}" for line in lines)


@dataclass
class _Window:
    begin: float
    written: int = 0
    left_out: int = 0


class RateLimit(logging.Filter):
    """Leaves out what the same line of code writes again and again, and says how often."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, int], _Window] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        place, now = (record.pathname, record.lineno), self._clock()
        with self._lock:
            window = self._windows.setdefault(place, _Window(now))
            left_out = 0
            if now - window.begin >= WINDOW_S:
                left_out = window.left_out
                window = self._windows[place] = _Window(now)
            if window.written == BURST:
                window.left_out += 1
                return False
            window.written += 1
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out:,} more like this were left out)"
            record.args = ()
        return True


def _escaped(text: str) -> str:
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)

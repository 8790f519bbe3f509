"""How a component tells its progress to whoever shows it: through log records of its own logger."""

import contextlib
import contextvars
import logging
from collections.abc import Iterator

LOGGER = "dexmatch"
"""Parent of the loggers whose records may carry progress."""
PROGRESS = "progress"
"""Extra attribute of such a record: (done, total), in the component's own unit."""


_part: contextvars.ContextVar[tuple[str, int, int]] = contextvars.ContextVar(
    "part", default=("", 0, 1)
)


@contextlib.contextmanager
def part(text: str, index: int, count: int) -> Iterator[None]:
    """What is reported inside the block is one of several equal parts of the work.

    A part may have parts of its own.

    Args:
      text: what the part is, said before what is done in it; may be empty.
      index: which, from 0.
      count: of how many.
    """
    before, outer_index, outer_count = _part.get()
    inner = f"{text}, " if text else ""
    token = _part.set((before + inner, outer_index * count + index, outer_count * count))
    try:
        yield
    finally:
        _part.reset(token)


def report(text: str, done: int, total: int, level: int = logging.DEBUG) -> None:
    """Tells how far a component is.

    Args:
      text: what is being done, for people.
      done: units done so far.
      total: units in all.
      level: DEBUG for the display alone, INFO for the log file too.
    """
    before, index, count = _part.get()
    progress = (index * total + done, count * total)
    logging.getLogger(LOGGER).log(level, "%s%s", before, text, extra={PROGRESS: progress})

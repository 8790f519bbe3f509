"""How a component tells its progress to whoever shows it: through log records of its own logger."""

import logging

LOGGER = "dexmatch"
"""Parent of the loggers whose records may carry progress."""
PROGRESS = "progress"
"""Extra attribute of such a record: (done, total), in the component's own unit."""


def report(text: str, done: int, total: int, level: int = logging.DEBUG) -> None:
    """Tells how far a component is.

    Args:
      text: what is being done, for people.
      done: units done so far.
      total: units in all.
      level: DEBUG for the display alone, INFO for the log file too.
    """
    logging.getLogger(LOGGER).log(level, "%s", text, extra={PROGRESS: (done, total)})

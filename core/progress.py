"""How progress is shown, of a command and of a run: bars in a terminal, plain lines elsewhere.

Code that a command calls itself tells it through the function that `show_progress` yields;
components, which TFX calls, through `core.reporting`.
"""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from core import terminal
from core.background import beside

PATIENCE = 2.0
"""Seconds. What takes less is not worth a display."""
LINE_INTERVAL = 15.0
"""Seconds between two lines where stderr is no terminal, such as a log file."""
_REFRESH = 0.1
"""Seconds between two looks at how far a command's work is."""
_MINUTE = 60


class Work:
    """A piece of work: what is being done, and how far it is.

    Args:
      description: what is being done, for people.
      total: units of work; None if unknown.
    """

    def __init__(self, description: str, total: int | None = None):
        self.description = description
        self.total = total
        self.done = 0
        self._began = time.monotonic()
        self._done_before = 0

    def set_done(self, done: int) -> None:
        """Takes over the number of units done so far."""
        self.done = done

    def update(self, description: str, done: int, total: int) -> None:
        """Takes over all that is known; with another total, other units are counted."""
        if total != self.total:
            self._began, self._done_before = time.monotonic(), done
        self.description, self.done, self.total = description, done, total

    @property
    def share(self) -> str:
        """How much is done, in percent; empty if the total is unknown."""
        return f"{self.done / self.total:.0%}" if self.total else ""

    @property
    def pace(self) -> str:
        """Units per second and, if it is known, the time left; empty before the first unit."""
        counted = self.done - self._done_before
        if counted <= 0:
            return ""
        rate = counted / max(time.monotonic() - self._began, 1e-9)
        text = f"{rate:,.1f}/s"
        if self.total:
            text += f", {_duration((self.total - self.done) / rate)} left"
        return text

    @property
    def line(self) -> str:
        """All of it as one line of text."""
        if self.total:
            counted = f"{self.done:,} of {self.total:,} ({self.share})"
        else:
            counted = f"{self.done:,}" if self.done else ""
        return f"{self.description}: {', '.join(filter(None, (counted, self.pace))) or '...'}"


def _duration(seconds: float) -> str:
    whole = math.ceil(seconds)
    return f"{whole} s" if whole < _MINUTE else str(timedelta(seconds=whole))


class Bars:
    """A bar for the steps, if there are any, and one for the work; both go when the block ends."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]}", style="progress.percentage", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[pace]}", style="progress.remaining", markup=False),
            console=terminal.console,
            transient=True,
        )
        self._steps: TaskID | None = None
        self._work: TaskID | None = None

    def __enter__(self) -> None:
        """Shows what there is to show."""
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        """Clears it away."""
        self._progress.stop()

    def begin_step(self, name: str, number: int, total: int | None) -> None:
        """Says which step begins.

        Args:
          name: of the step.
          number: from 1; 0 for what comes before the first.
          total: of the steps; None if unknown.
        """
        if self._steps is None:
            self._steps = self._progress.add_task(name, count="", pace="")
        done = max(number - 1, 0)
        count = f"{done}/{total}" if total else ""
        self._progress.update(
            self._steps, description=name, completed=done, total=total, count=count
        )

    def end_step(self) -> None:
        """Says that the work of a step is over."""
        if self._work is not None:
            self._progress.remove_task(self._work)
            self._work = None

    def show(self, work: Work) -> None:
        """Shows how far the work is."""
        if self._work is None:
            self._work = self._progress.add_task(work.description, count="", pace="")
        self._progress.update(
            self._work,
            description=work.description,
            completed=work.done,
            total=work.total,
            count=work.share,
            pace=work.pace,
        )


class Lines:
    """A line as a step begins, and now and then one of how far the work is."""

    def __init__(self) -> None:
        self._has_steps = False
        self._last = -math.inf

    def __enter__(self) -> None:
        """Shows nothing yet."""

    def __exit__(self, *_: object) -> None:
        """Leaves the lines where they are."""

    def begin_step(self, name: str, number: int, total: int | None) -> None:
        """See `Bars`."""
        self._has_steps = True
        self._last = time.monotonic()
        terminal.say(f"[{number:2}/{total}] {name}" if number else name)

    def end_step(self) -> None:
        """See `Bars`."""

    def show(self, work: Work) -> None:
        """Shows how far the work is, unless that was shown a moment ago."""
        now = time.monotonic()
        if now - self._last >= LINE_INTERVAL:
            self._last = now
            terminal.say(
                f"        {work.description} ({work.share})" if self._has_steps else work.line
            )


def make_display() -> Bars | Lines:
    """The display that fits where the console writes to; a context manager."""
    return Bars() if terminal.console.is_terminal else Lines()


@contextlib.contextmanager
def show_progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows how far a piece of work is, if it takes more than two seconds.

    In a terminal it is a bar with rate and time left, gone when the work ends; elsewhere a plain
    line now and then.

    Args:
      description: what is being done, as in "Importing".
      total: units of work; None if unknown.

    Yields:
      A function that is told the number of units done so far.

    Example:
      with show_progress("Counting", total=3) as done:
          for number in range(3):
              done(number + 1)
    """
    work = Work(description, total)
    with beside(partial(_watch, work)):
        yield work.set_done


def _watch(work: Work, ended: threading.Event) -> None:
    if ended.wait(PATIENCE):
        return
    display = make_display()
    with display:
        display.show(work)
        while not ended.wait(_REFRESH):
            display.show(work)

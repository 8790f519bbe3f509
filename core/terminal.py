"""What users see: one console for words, one for results, and a progress display.

Progress and remarks go to stderr, results to stdout, so that `dexmatch ... --json | jq` works.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from rich import box
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

console = Console(stderr=True, highlight=False)
"""For remarks, progress and errors."""
output = Console(highlight=False)
"""For what the user asked for."""

PATIENCE = 2.0
"""Seconds. What takes less is not worth a display."""
_ANY_WIDTH = 10_000

LINE_INTERVAL = 15.0
"""Seconds between two lines where stderr is no terminal, such as a log file."""


@contextlib.contextmanager
def attached(out: IO[str], err: IO[str]) -> Iterator[None]:
    """Has `output` and `console` write to these streams for a while."""
    output.file, console.file = out, err
    try:
        yield
    finally:
        # None stands for whatever sys.stdout and sys.stderr are at the time.
        output.file = console.file = None  # type: ignore[assignment]


def say(text: str) -> None:
    """Prints a remark as it is: square brackets in it are no markup."""
    console.print(text, markup=False, soft_wrap=True)


def table(*columns: str) -> Table:
    """A table in the house style.

    Args:
      columns: their names; one that ends in ">" is right-aligned.
    """
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        justify: JustifyMethod = "right" if column.endswith(">") else "left"
        made.add_column(column.rstrip(">"), justify=justify, overflow="fold", min_width=4)
    return made


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str | Text]], fewest: int) -> Table:
    """A table without the last columns, as many as the terminal is too narrow for.

    Args:
      columns: as for `table`, the most telling first.
      rows: a cell for each column; an empty row is a line between its neighbours. The first cell
        is folded where even the fewest columns are too wide, the others never.
      fewest: how many columns are shown however narrow the terminal is.
    """
    for count in range(len(columns), fewest - 1, -1):
        made = table(*columns[:count])
        for column in made.columns[1:]:
            column.no_wrap = True
        for row in rows:
            if row:
                made.add_row(*row[:count])
            else:
                made.add_section()
        wanted = Measurement.get(output, output.options.update(max_width=_ANY_WIDTH), made).maximum
        if wanted <= output.width:
            break
    return made


def figure(value: float | None) -> str:
    """A metric as the tables show it; "-" where there is none."""
    return "-" if value is None else f"{value:.3f}"


@contextlib.contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows how far a piece of work is, if it takes more than two seconds.

    In a terminal it is a bar with rate and time left, gone when the work ends; elsewhere a plain
    line now and then.

    Args:
      description: what is being done, as in "Importing".
      total: units of work; None if unknown.

    Yields:
      A function that is told the number of units done so far.

    Example:
      with progress("Counting", total=3) as done:
          for number in range(3):
              done(number + 1)
    """
    meter = _Meter(description, total)
    ended = threading.Event()
    show = _show_bar if console.is_terminal else _show_lines
    display = threading.Thread(target=show, args=(meter, ended), daemon=True)
    display.start()
    try:
        yield meter.set
    finally:
        ended.set()
        display.join()


class _Meter:
    """How far the work is; written by the worker, read by the display."""

    def __init__(self, description: str, total: int | None):
        self.description = description
        self.total = total
        self.done = 0
        self._started = time.monotonic()

    def set(self, done: int) -> None:
        self.done = done

    def rate(self) -> float:
        """Units per second so far."""
        return self.done / max(time.monotonic() - self._started, 1e-9)

    def line(self) -> str:
        """The state as one line of text."""
        if not self.total:
            counted = f" {self.done:,}, {self.rate():,.1f}/s" if self.done else " ..."
            return f"{self.description}:{counted}"
        text = f"{self.description}: {self.done:,} of {self.total:,} ({self.done / self.total:.0%})"
        if self.done:
            left = (self.total - self.done) / self.rate()
            text += f", {self.rate():,.1f}/s, {left:,.0f} s left"
        return text


def _show_lines(meter: _Meter, ended: threading.Event) -> None:
    wait = PATIENCE
    while not ended.wait(wait):
        say(meter.line())
        wait = LINE_INTERVAL


def _show_bar(meter: _Meter, ended: threading.Event) -> None:
    if ended.wait(PATIENCE):
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn() if meter.total else TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(meter.description, total=meter.total, rate="")
        while not ended.wait(0.1):
            rate = f"{meter.rate():,.1f}/s" if meter.done else ""
            bar.update(task, completed=meter.done, rate=rate)

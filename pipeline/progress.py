"""How far a run is: components done, and what the one at work says of itself."""

import contextlib
import logging
import re
import time
from collections.abc import Iterator
from datetime import timedelta

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from core import reporting, terminal

# What LocalDagRunner and BeamDagRunner log when they come to a node.
_STARTS = re.compile(r"(?:Component|node) (\S+) is running\.")
_ENDS = re.compile(r"(?:Component|node) (\S+) is finished\.")


@contextlib.contextmanager
def run_progress() -> Iterator["RunProgress"]:
    """Shows the progress of the run inside the block, as read from its log records."""
    display = _Bars() if terminal.console.is_terminal else _Lines()
    handler = RunProgress(display)
    root, ours = logging.getLogger(), logging.getLogger(reporting.LOGGER)
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    try:
        with display:
            yield handler
    finally:
        root.removeHandler(handler)
        ours.setLevel(level)


class RunProgress(logging.Handler):
    """Turns log records into calls of a display."""

    def __init__(self, display: "_Bars | _Lines"):
        super().__init__()
        self._display = display

    def expect(self, components: int) -> None:
        """Says how many components there are."""
        self._display.total(components)

    def emit(self, record: logging.LogRecord) -> None:
        """Looks at one record; most mean nothing to it."""
        if record.name.startswith(reporting.LOGGER) and hasattr(record, reporting.PROGRESS):
            self._display.detail(record.getMessage(), *getattr(record, reporting.PROGRESS))
            return
        if record.name.startswith(reporting.LOGGER) and record.levelno == logging.WARNING:
            terminal.say(f"warning: {record.getMessage()}")
            return
        message = record.getMessage()
        if started := _STARTS.match(message):
            self._display.start(started[1])
        elif _ENDS.match(message):
            self._display.end()


class _Bars:
    """A bar of components and, where a component tells its progress, a bar below it."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _Rate(),
            console=terminal.console,
            transient=True,
        )
        self._all = self._progress.add_task("Loading TensorFlow and TFX", total=None)
        self._detail: TaskID | None = None

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def total(self, components: int) -> None:
        self._progress.update(self._all, total=components)

    def start(self, node: str) -> None:
        self._progress.update(self._all, description=node)

    def end(self) -> None:
        self._progress.advance(self._all)
        if self._detail is not None:
            self._progress.remove_task(self._detail)
            self._detail = None

    def detail(self, text: str, done: int, total: int) -> None:
        if self._detail is None:
            self._detail = self._progress.add_task(text, total=total, is_even=True)
        self._progress.update(self._detail, description=text, completed=done, total=total)


class _Rate(ProgressColumn):
    """Rate and time left, where the steps are alike; components are not."""

    def render(self, task: Task) -> Text:
        if not task.fields.get("is_even") or not task.speed or task.time_remaining is None:
            return Text("")
        left = timedelta(seconds=round(task.time_remaining))
        return Text(f"{task.speed:.1f}/s, {left} left", "cyan")


class _Lines:
    """Plain lines: one as a component starts, and now and then one of what it says."""

    def __init__(self) -> None:
        self._total = 0
        self._started = 0
        self._last_detail = 0.0

    def __enter__(self) -> None:
        terminal.say("loading TensorFlow and TFX")

    def __exit__(self, *_: object) -> None:
        pass

    def total(self, components: int) -> None:
        self._total = components

    def start(self, node: str) -> None:
        self._started += 1
        self._last_detail = time.monotonic()
        terminal.say(f"[{self._started:2}/{self._total}] {node}")

    def end(self) -> None:
        pass

    def detail(self, text: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last_detail >= terminal.LINE_INTERVAL:
            self._last_detail = now
            terminal.say(f"        {text} ({done / total:.0%})")

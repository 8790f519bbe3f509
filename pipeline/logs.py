"""Quiet by default: what TFX, Beam and TensorFlow say goes to a file."""

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from absl import logging as absl_logging

from core import terminal
from core.background import beside

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_POLL_S = 0.2


@contextlib.contextmanager
def captured(path: Path, echo: bool = False) -> Iterator[None]:
    """Sends everything that this process and its children print to a file.

    The switch is made at the level of file descriptors, because TensorFlow's C++ code and Beam's
    workers write there. The consoles of `core.terminal` go on reaching the user.

    Args:
      path: the log file; its folder is made.
      echo: show the log on standard error as well, as it grows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as log, contextlib.ExitStack() as stack:
        terminal_error = stack.enter_context(_redirected(log.fileno()))
        stack.enter_context(_python_logs(path))
        if echo:
            stack.enter_context(_followed(path, terminal_error))
        yield


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Throws away what libraries print to standard error and log below the level ERROR.

    The consoles of `core.terminal` go on reaching the user. TensorFlow tells, as it is loaded, what
    processors it found: whatever its log level, from C++ and so on the descriptor itself.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8") as standard_error,
            open(os.devnull, "wb") as nowhere,
        ):
            os.dup2(nowhere.fileno(), 2)
            try:
                # Who has put a stream of their own in the place of standard error keeps it.
                is_ours = sys.stderr is sys.__stderr__
                with (
                    terminal.attached(sys.stdout, standard_error)
                    if is_ours
                    else contextlib.nullcontext()
                ):
                    yield
            finally:
                os.dup2(standard_error.fileno(), 2)
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def _redirected(target: int) -> Iterator[io.TextIOWrapper]:
    """Points descriptors 1 and 2 at `target`, and the consoles at where they pointed before."""
    sys.stdout.flush()
    sys.stderr.flush()
    copies = os.dup(1), os.dup(2)
    # Buffered by line, as a terminal is.
    out, err = (os.fdopen(copy, "w", buffering=1, encoding="utf-8") for copy in copies)
    os.dup2(target, 1)
    os.dup2(target, 2)
    try:
        with terminal.attached(out, err):
            yield err
    finally:
        for standard in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # The disk of the log is full.
                standard.flush()
        for descriptor, stream in ((1, out), (2, err)):
            stream.flush()
            os.dup2(stream.fileno(), descriptor)
            stream.close()


class _File(logging.FileHandler):
    """A log file, in which what a full disk does not take is missing, and no more comes of it."""

    def handleError(self, record: logging.LogRecord) -> None:
        """By default it prints a stack trace to standard error, which is the same file."""


@contextlib.contextmanager
def _python_logs(path: Path) -> Iterator[None]:
    """Sends Python's log records of level INFO and above to the file, and nowhere else."""
    handler = _File(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(_FORMAT))
    # A logger below the root may let more through, for the progress display.
    handler.setLevel(logging.INFO)
    root = logging.getLogger()
    old_handlers, old_level, old_verbosity = (
        root.handlers[:],
        root.level,
        absl_logging.get_verbosity(),
    )
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    absl_logging.set_verbosity(absl_logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = old_handlers
        root.setLevel(old_level)
        logging.captureWarnings(False)
        absl_logging.set_verbosity(old_verbosity)
        with contextlib.suppress(OSError):  # A full disk, which was told where it mattered.
            handler.close()


@contextlib.contextmanager
def _followed(path: Path, target: io.TextIOWrapper) -> Iterator[None]:
    """Copies what is appended to a file until the block ends."""

    def follow(ended: threading.Event) -> None:
        is_over = False
        while not is_over:
            is_over = ended.wait(_POLL_S)
            target.write(file.read())

    with path.open(encoding="utf-8", errors="replace") as file:
        file.seek(0, io.SEEK_END)
        with beside(follow):
            yield

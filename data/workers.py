"""Runs a function on many tasks in worker processes: in order, few at a time, gone on Ctrl-C.

Workers are spawned, not forked: forking a process that has threads, or TensorFlow, can hang.
"""

import collections
import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from core.child_processes import child_environment_applied
from core.errors import DexmatchError

_POLL = 0.2
"""Seconds between two looks at the counter."""

_counter: "Synchronized[int] | None" = None
"""In a worker: the counter that all of them share."""


def tick() -> None:
    """Called in a worker: counts one unit of work as done."""
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += 1


def run_in_order(
    function: str,
    tasks: Iterable[object],
    workers: int,
    on_progress: Callable[[int], None],
) -> Generator[Any, None, None]:
    """Yields the outcome of each task in the order of the tasks.

    At most two tasks per worker are under way, so memory does not grow with their number.

    Args:
      function: `module:name` of a function of one task. A name, so that this process need not
        import what only the workers need.
      tasks: consumed as workers become free.
      workers: number of processes at most; one is started when there is work for it.
      on_progress: called every now and then with the number of `tick` calls so far.

    Yields:
      What the function returned.

    Raises:
      DexmatchError: a worker died.
    """
    context = multiprocessing.get_context("spawn")
    # The first lock starts a process too, the one that tidies up after all.
    with child_environment_applied():
        counter = context.Value("Q", 0)
        pool = ProcessPoolExecutor(workers, context, _start, (counter,))
    others = set(multiprocessing.active_children())
    pending: collections.deque[Future[Any]] = collections.deque()

    def first() -> Any:
        while not wait([pending[0]], timeout=_POLL).done:
            # Without the lock, which a worker that was killed may still hold.
            on_progress(counter.get_obj().value)
        return pending.popleft().result()

    try:
        for task in tasks:
            with _interrupt_kept_from_children(), child_environment_applied():
                pending.append(pool.submit(_call, function, task))
            if len(pending) == 2 * workers:
                yield first()
        while pending:
            yield first()
    except BrokenProcessPool as error:
        raise DexmatchError(
            "a worker process was killed, most likely for want of memory; try --workers 1"
        ) from error
    finally:
        if pending:  # Stopped half-way: nobody waits for what is under way.
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
        pool.shutdown(cancel_futures=True)


def _start(counter: "Synchronized[int]") -> None:
    """Prepares a worker process."""
    global _counter
    _counter = counter
    # Before TensorFlow is imported: it should take no accelerator for writing files.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A parent that is killed cannot stop its workers, and they would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _call(function: str, task: object) -> Any:
    module, _, name = function.partition(":")
    with _silence():
        imported = importlib.import_module(module)
    return getattr(imported, name)(task)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drops what native code writes to stderr; TensorFlow greets before its log level counts."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _interrupt_kept_from_children() -> Iterator[None]:
    """Processes started inside inherit the mask: Ctrl-C is for the parent to handle."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

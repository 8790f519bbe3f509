"""Runs a function on many tasks in a Beam job, with tasks and outcomes in a folder.

The folder is one that the workers see too, under the same path. The job itself carries numbers
only: how large a pipeline's description may be, and how a value comes back, depends on the runner.
"""

import contextlib
import io
import os
import pickle
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from core.background import beside
from core.child_processes import child_environment_applied
from core.errors import DexmatchError, with_causes
from core.files import open_atomically
from core.progress import show_progress

_POLL_S = 1.0
"""Between two looks at how many outcomes there are."""


def run_in_order(
    function: Callable[[Any], Any],
    tasks: Iterable[object],
    folder: Path,
    beam_args: Sequence[str],
    description: str,
) -> Generator[Any, None, None]:
    """Yields the outcome of each task in the order of the tasks, once all are done.

    Args:
      function: may be called more than once for a task, also at the same time.
      tasks: picklable; one at a time is held in memory.
      folder: an empty one, absolute, in which the workers read tasks and write outcomes.
      beam_args: Beam's options.
      description: what is being done, as `show_progress` takes it.

    Yields:
      What the function returned.

    Raises:
      DexmatchError: the function did for one of the tasks, or the workers do not see the folder.
    """
    count = 0
    for count, task in enumerate(tasks, start=1):
        _store(_task(folder, count - 1), task)
    if count:
        with show_progress(description, count) as done, beside(partial(_watch, folder, done)):
            _run(function, count, folder, beam_args)
    for number in range(count):
        try:
            outcome = _load(_outcome(folder, number))
        except FileNotFoundError as error:
            raise DexmatchError(
                f"{folder}: Beam's workers did not write there; they must see the same folders "
                "under the same paths as this process"
            ) from error
        if isinstance(outcome, DexmatchError):
            raise outcome
        yield outcome


def make_pipeline(beam_args: Sequence[str]) -> beam.Pipeline:
    """An empty pipeline with options.

    Raises:
      DexmatchError: Beam does not take them.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = PipelineOptions(list(beam_args))
            options.get_all_options()  # Else each is read when it is needed.
            return beam.Pipeline(options=options)
    except (ValueError, SystemExit) as error:
        # The former is Beam's, the latter argparse's, which prints what is wrong.
        *_, reason = said.getvalue().splitlines() or [str(error)]
        raise DexmatchError(f"Beam takes other options: {reason}") from error


def _run(
    function: Callable[[Any], Any], count: int, folder: Path, beam_args: Sequence[str]
) -> None:
    # Local runners start workers; a portable one may call back into this process.
    with child_environment_applied():
        pipeline = make_pipeline(beam_args)
        _ = (
            pipeline
            | "Numbers of tasks" >> beam.Create(range(count))
            | "Work" >> beam.Map(work, str(folder), function)
        )
        try:
            with _interruptible():  # A runner of this process works here.
                result = pipeline.run()
        except grpc.FutureTimeoutError as error:
            endpoint = pipeline.options.view_as(PortableOptions).job_endpoint
            raise DexmatchError(f"--job_endpoint={endpoint}: no job server answers") from error
        try:
            result.wait_until_finish()
        except BaseException:
            with contextlib.suppress(Exception):
                result.cancel()
            raise


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Lets Ctrl-C through, of which Beam makes another error where the worker is this process."""
    try:
        yield
    except RuntimeError as error:
        if any(isinstance(each, KeyboardInterrupt) for each in with_causes(error)):
            raise KeyboardInterrupt from error
        raise


def work(number: int, folder: str, function: Callable[[Any], Any]) -> None:
    """In a worker: does one task. A user's mistake is an outcome, no reason to try again."""
    if "tensorflow" not in sys.modules:
        # It should take no accelerator for writing files.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        task = _load(_task(Path(folder), number))
    except FileNotFoundError:
        return  # The process that waits for the outcome says so.
    try:
        outcome = function(task)
    except DexmatchError as error:
        outcome = DexmatchError(str(error))
    _store(_outcome(Path(folder), number), outcome)


def _watch(folder: Path, on_progress: Callable[[int], None], ended: threading.Event) -> None:
    while not ended.wait(_POLL_S):
        on_progress(sum(name.endswith(_OUTCOME) for name in os.listdir(folder)))


_OUTCOME = ".outcome"


def _task(folder: Path, number: int) -> Path:
    return folder / f"{number}.task"


def _outcome(folder: Path, number: int) -> Path:
    return folder / f"{number}{_OUTCOME}"


def _store(path: Path, value: object) -> None:
    with open_atomically(path) as file:
        pickle.dump(value, file)


def _load(path: Path) -> Any:
    return pickle.loads(path.read_bytes())

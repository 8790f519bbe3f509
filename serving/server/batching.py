"""Requests of one signature are joined along dimension 0 and run as one.

After TensorFlow Serving's BatchingSession and SharedBatchScheduler: a batch is run when it is full
or its first request has waited for `timeout_s`, and a thread is free; but the time begins anew when
a batch is answered. It does not wait once it holds its thread's share of the requests that were
waiting or being run at a time lately. So the batches of clients that send one request after another
become equally large, while one is read and answered the others are computed, and a lone client
never waits. Everything here runs on the event loop; only TensorFlow runs in threads.
"""

import asyncio
import bisect
import functools
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import grpc
import numpy as np

from serving.server.errors import ServingError, invalid

Arrays = Mapping[str, np.ndarray]
_REMEMBERED = 4
"""Batches of each thread in which a client may come back that was there before."""
Run = Callable[[str, Arrays], dict[str, np.ndarray]]
Ended = Callable[[], object]
_FOR_ALL = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
"""What a batch as a whole is answered, however many requests it was made of."""
_Key = tuple[str, tuple[tuple[str, tuple[int, ...]], ...]]


@dataclass(frozen=True)
class Batching:
    """TensorFlow Serving's BatchingParameters, with its defaults filled in.

    Attributes:
      max_batch_size: rows in a batch at most.
      timeout_s: seconds that a request may wait for others.
      max_enqueued_batches: batches of a signature that may wait; beyond, UNAVAILABLE.
      threads: batches that run at a time, over all signatures.
      allowed_sizes: a batch is padded to the next of them; any size if empty.
      pad_inputs: inputs of unequal inner sizes are padded to the largest, instead of run apart.
      thread_pool_name: what metrics call the threads that run batches.
    """

    max_batch_size: int
    timeout_s: float
    max_enqueued_batches: int
    threads: int
    allowed_sizes: tuple[int, ...] = ()
    pad_inputs: bool = False
    thread_pool_name: str = "batch_threads"

    def padded(self, rows: int) -> int:
        """The size that a batch of so many rows is run with."""
        if not self.allowed_sizes:
            return rows
        return self.allowed_sizes[bisect.bisect_left(self.allowed_sizes, rows)]


@dataclass
class _Task:
    inputs: Arrays
    rows: int
    enqueued: float
    answer: asyncio.Future[dict[str, np.ndarray]]
    ended: Ended


class Slots:
    """Threads for batches, shared by all that form some; the longest waiting goes first."""

    def __init__(self, count: int):
        self._free = count
        self._waiting: deque[Callable[[], bool]] = deque()

    def take(self) -> bool:
        """Takes a slot if one is free."""
        if self._free:
            self._free -= 1
            return True
        return False

    def give_back(self) -> None:
        """Frees a slot and offers it to those who wait."""
        self._free += 1
        waiting, self._waiting = self._waiting, deque()
        for start in waiting:
            start()

    def when_free(self, start: Callable[[], bool]) -> None:
        """Calls `start` when a slot is given back."""
        if start not in self._waiting:
            self._waiting.append(start)


class Batcher:
    """Joins the requests of one servable; one queue for each signature and inner shape.

    Args:
      batching: sizes and times.
      run: called in a thread with a signature's name and its joined inputs.
      threads: where it runs.
      slots: how many batches may run at a time, shared with other batchers.
      observe: told of every batch: name of the thread pool, and the seconds that each of its
        requests has waited.
    """

    def __init__(
        self,
        batching: Batching,
        run: Run,
        threads: Executor,
        slots: Slots,
        observe: Callable[[str, Sequence[float]], None] = lambda pool, waited: None,
    ):
        self._observe = observe
        self._batching = batching
        self._run = run
        self._threads = threads
        self._slots = slots
        self._queues: dict[_Key, _Queue] = {}

    async def run(
        self, signature: str, inputs: Arrays, ended: Ended = lambda: None
    ) -> dict[str, np.ndarray]:
        """Waits for the answer to one request.

        Args:
          inputs: checked against the signature; all with the same number of rows.
          ended: called once the inputs are needed no more, which is later than this ends where
            the request was given up.

        Raises:
          ServingError: INVALID_ARGUMENT for inputs that cannot be joined or are too many,
            UNAVAILABLE if the queue is full, or what the run answered.
        """
        try:
            rows = _rows(inputs)
            check_rows(rows, self._batching.max_batch_size)
            if rows:
                answer = self._queue(signature, inputs).add(inputs, rows, ended)
        except ServingError:
            ended()
            raise
        if not rows:  # Nothing to join, and nothing to pad with.
            return await run_alone(self._threads, self._run, signature, inputs, ended)
        return await answer

    def _queue(self, signature: str, inputs: Arrays) -> "_Queue":
        key = self._key(signature, inputs)
        queue = self._queues.get(key)
        if queue is None:
            # Inner shapes are the clients' to choose: no queue stays for each ever seen.
            queue = self._queues[key] = _Queue(
                functools.partial(self._run, signature),
                self._batching,
                self._threads,
                self._slots,
                on_idle=functools.partial(self._queues.pop, key),
                observe=self._observe,
            )
        return queue

    def _key(self, signature: str, inputs: Arrays) -> _Key:
        if self._batching.pad_inputs:
            return signature, tuple((name, (inputs[name].ndim,)) for name in sorted(inputs))
        return signature, tuple((name, inputs[name].shape[1:]) for name in sorted(inputs))


class _Queue:
    def __init__(
        self,
        run: Callable[[Arrays], dict[str, np.ndarray]],
        batching: Batching,
        threads: Executor,
        slots: Slots,
        on_idle: Callable[[], object],
        observe: Callable[[str, Sequence[float]], None],
    ):
        self._run = run
        self._batching = batching
        self._threads = threads
        self._slots = slots
        self._on_idle = on_idle
        self._observe = observe
        self._waiting: deque[_Task] = deque()
        self._waiting_rows = 0
        self._running: set[asyncio.Task[None]] = set()
        self._answered = float("-inf")
        """When a batch was answered last."""
        self._timer: asyncio.TimerHandle | None = None
        self._computed = 0
        """Requests in the batches that are computed just now."""
        self._peaks = deque([0], maxlen=_REMEMBERED * batching.threads)
        """The most requests that were under way at a time, from one batch's start to the next's."""

    def add(self, inputs: Arrays, rows: int, ended: Ended) -> asyncio.Future[dict[str, np.ndarray]]:
        batching, loop = self._batching, asyncio.get_running_loop()
        if self._waiting_rows + rows > batching.max_enqueued_batches * batching.max_batch_size:
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full",
            )
        task = _Task(inputs, rows, loop.time(), loop.create_future(), ended)
        self._waiting.append(task)
        self._waiting_rows += rows
        self._peaks[-1] = max(self._peaks[-1], self._under_way())
        self._start()
        return task.answer

    def _start(self) -> bool:
        """Runs the batches that are due, as far as threads are free.

        Returns:
          Whether no request waits any longer.
        """
        while self._waiting:
            batch = self._next()
            if batch is None:
                self._wake_at(self._due())
                return False
            if not self._slots.take():
                self._slots.when_free(self._start)
                return False
            for task in batch:
                self._waiting.popleft()
                self._waiting_rows -= task.rows
            running = asyncio.get_running_loop().create_task(self._process(batch))
            # The loop itself holds tasks weakly.
            self._running.add(running)
            self._computed += len(batch)
            self._peaks.append(self._under_way())
            running.add_done_callback(self._ended)
        return True

    def _under_way(self) -> int:
        """How many requests are waiting or being computed."""
        return len(self._waiting) + self._computed

    def _next(self) -> list[_Task] | None:
        """The requests that are to be run next; None if they should wait for more."""
        share = -(-max(self._peaks) // self._batching.threads)
        batch: list[_Task] = []
        rows = 0
        for task in itertools.islice(self._waiting, share):
            if rows + task.rows > self._batching.max_batch_size:
                return batch
            batch.append(task)
            rows += task.rows
        # Timers fire up to a clock tick early.
        is_due = asyncio.get_running_loop().time() >= self._due() - 1e-3
        is_whole = len(batch) == share or rows == self._batching.max_batch_size
        return batch if is_whole or is_due else None

    def _due(self) -> float:
        """When the first request has waited long enough.

        Those that were answered last get as long to ask again: else requests that had waited for a
        thread would go alone, and small batches would stay small.
        """
        return max(self._waiting[0].enqueued, self._answered) + self._batching.timeout_s

    def _wake_at(self, when: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._start)

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._answered = asyncio.get_running_loop().time()
        self._running.discard(running)
        self._slots.give_back()
        # What is a fair share has changed.
        if self._start() and not self._running:
            self._on_idle()

    async def _process(self, batch: Sequence[_Task]) -> None:
        # Whoever went away meanwhile is not worth computing for.
        tasks = [task for task in batch if not task.answer.done()]
        loop = asyncio.get_running_loop()
        try:
            if not tasks:
                return
            waited = [loop.time() - task.enqueued for task in tasks]
            self._observe(self._batching.thread_pool_name, waited)
            answers = await loop.run_in_executor(self._threads, self._run_joined, tasks)
        finally:
            # Not later: who is answered may ask again at once.
            self._computed -= len(batch)
            for task in batch:
                task.ended()
        for task, answer in zip(tasks, answers, strict=True):
            if task.answer.done():
                continue
            if isinstance(answer, Exception):
                task.answer.set_exception(answer)
            else:
                task.answer.set_result(answer)

    def _run_joined(self, tasks: Sequence[_Task]) -> list[dict[str, np.ndarray] | Exception]:
        """One answer for each task, in a thread."""
        try:
            return list(self._joined(tasks))
        except Exception as error:
            if len(tasks) == 1 or (isinstance(error, ServingError) and error.code in _FOR_ALL):
                return [error] * len(tasks)
        # One of them is to blame, and it is not known which.
        return [self._run_joined([task])[0] for task in tasks]

    def _joined(self, tasks: Sequence[_Task]) -> list[dict[str, np.ndarray]]:
        rows = sum(task.rows for task in tasks)
        padded = self._batching.padded(rows)
        if len(tasks) == 1 and padded == rows:
            inputs: Arrays = tasks[0].inputs
        else:
            inputs = {
                name: _join([task.inputs[name] for task in tasks], padded - rows)
                for name in tasks[0].inputs
            }
        outputs = self._run(inputs)
        for name, array in outputs.items():
            if array.ndim == 0:
                raise ServingError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Batched output tensor has 0 dimensions: {name}",
                )
            if len(array) != padded:
                raise ServingError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th "
                    f"dimension sizes of the input tensors: {name}",
                )
        answers, begin = [], 0
        for task in tasks:
            end = begin + task.rows
            answers.append({name: array[begin:end] for name, array in outputs.items()})
            begin = end
        return answers


async def run_alone(
    threads: Executor, run: Run, signature: str, inputs: Arrays, ended: Ended
) -> dict[str, np.ndarray]:
    """Runs a request that is not joined with others, in a thread; see `Batcher.run`."""
    loop = asyncio.get_running_loop()
    running = threads.submit(run, signature, inputs)
    running.add_done_callback(lambda _: ended())
    return await asyncio.wrap_future(running, loop=loop)


def check_rows(rows: int, most: int) -> None:
    """Refuses a request of more rows than a batch has.

    Raises:
      ServingError: INVALID_ARGUMENT.
    """
    if rows > most:
        raise invalid(f"Task size {rows} is larger than maximum input batch size {most}")


def _rows(inputs: Arrays) -> int:
    """The size of dimension 0, which all inputs share."""
    sizes = set()
    for array in inputs.values():
        if array.ndim == 0:
            raise invalid("Batching Run() input tensors must have at least one dimension")
        sizes.add(len(array))
    if len(sizes) > 1:
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop() if sizes else 0


def _join(arrays: Sequence[np.ndarray], padding: int) -> np.ndarray:
    """One below the other, then the last one's first row `padding` times."""
    if len({array.shape[1:] for array in arrays}) > 1:
        arrays = _equal_shapes(arrays)
    if padding:
        arrays = [*arrays, *[arrays[-1][:1]] * padding]
    return np.concatenate(arrays)


def _equal_shapes(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pads inner dimensions at their ends to the largest; as AddPadding does, with the array's
    first value."""
    sizes = [max(dims) for dims in zip(*(array.shape[1:] for array in arrays), strict=True)]
    padded = []
    for array in arrays:
        width = [
            (0, 0),
            *((0, size - had) for size, had in zip(sizes, array.shape[1:], strict=True)),
        ]
        fill = array.flat[0] if array.size else (b"" if array.dtype == object else 0)
        padded.append(np.pad(array, width, constant_values=fill))
    return padded

"""A log of sampled requests with their answers: TFRecord of PredictionLog.

After `core/request_logger.cc` in TensorFlow Serving: answered requests are logged, each with the
same probability, with what `LogMetadata` holds. Nothing here keeps a request waiting: records are
made and written by a thread of their own, and what it does not keep up with is dropped, and
counted.
"""

import logging
import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from tensorflow_serving.apis import prediction_log_pb2

from core.errors import DexmatchError
from serving.server import tensors
from serving.server.batching import Arrays
from serving.server.record_file import RecordFile, cut_torn_record
from serving.server.servable import Servable, Signature

MAX_BYTES = 256 << 20
KEPT_FILES = 3
"""Older files beside the current one: <path>.1 is the newest of them."""

_MAX_WAITING = 1000
_MAX_WAITING_BYTES = 64 << 20

_logger = logging.getLogger(__name__)

Observe = Callable[[str, grpc.StatusCode], None]
"""Told of every sampled request: model, and OK, or why it is not in the file."""


@dataclass(frozen=True)
class _Entry:
    model: str
    version: int
    signature: Signature
    inputs: Arrays
    outputs: Arrays

    @property
    def size(self) -> int:
        """Bytes that it holds, roughly."""
        arrays = (*self.inputs.values(), *self.outputs.values())
        return sum(
            sum(map(len, array.flat)) if array.dtype == object else array.nbytes for array in arrays
        )


class RequestLog:
    """Writes a file, and keeps a few older ones: `path`, `path.1` and so on.

    Example:
      log = RequestLog(Path("requests.tfrecord"), sampling_rate=0.01)
      log.start(metrics.observe_log)
      log.offer(servable, signature, inputs, outputs)
      log.close()
    """

    def __init__(self, path: Path, sampling_rate: float, max_bytes: int = MAX_BYTES):
        """Makes the file.

        Args:
          sampling_rate: share of the requests that are logged.
          max_bytes: of a file, after which the next one begins.

        Raises:
          DexmatchError: the file cannot be written.
        """
        self._path = path
        self._rate = sampling_rate
        self._max_bytes = max_bytes
        self._waiting: queue.Queue[_Entry | None] = queue.Queue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failed = 0
        try:
            self._begin_file()
        except OSError as error:
            raise DexmatchError(f"{path}: cannot be written ({error.strerror})") from error

    def start(self, observe: Observe) -> None:
        """Begins to write; call it once."""
        self._observe = observe
        self._thread = threading.Thread(target=self._write_all, name="request log", daemon=True)
        self._thread.start()

    def offer(
        self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Arrays
    ) -> None:
        """Takes an answered request, if the dice say so; returns at once.

        Args:
          inputs: as the signature takes them; nobody may change them afterwards.
          outputs: those that were asked for; likewise.
        """
        if random.random() >= self._rate:
            return
        entry = _Entry(servable.model, servable.version, signature, inputs, outputs)
        size = entry.size
        with self._lock:
            is_full = (
                self._waiting.qsize() >= _MAX_WAITING
                or self._waiting_bytes + size > _MAX_WAITING_BYTES
            )
            if not is_full:
                self._waiting_bytes += size
        if is_full:
            self._observe(servable.model, grpc.StatusCode.RESOURCE_EXHAUSTED)
        else:
            self._waiting.put(entry)

    def close(self) -> None:
        """Writes what is waiting, and ends; blocks meanwhile."""
        if self._thread:
            self._waiting.put(None)
            self._thread.join()
        self._file.close()

    def _write_all(self) -> None:
        while entry := self._waiting.get():
            try:
                self._write(_serialized(entry, self._rate))
                code = grpc.StatusCode.OK
                if self._failed:
                    _logger.warning(
                        "requests are logged again: %s; %d were not", self._path, self._failed
                    )
                self._failed = 0
            except OSError as error:
                code = grpc.StatusCode.INTERNAL
                # Once for a disk that is full, not once a request.
                if not self._failed:
                    _logger.error("requests are not logged: %s: %s", self._path, error.strerror)
                self._failed += 1
            with self._lock:
                self._waiting_bytes -= entry.size
            self._observe(entry.model, code)

    def _write(self, record: bytes) -> None:
        if self._file.size and self._file.size + len(record) > self._max_bytes:
            full = self._file
            self._begin_file()
            full.close()
        self._file.append(record)

    def _begin_file(self) -> None:
        """Moves the files that are there on by one; the oldest gives way."""
        if self._path.is_file():
            cut_torn_record(self._path)
        if self._path.is_file() and self._path.stat().st_size:
            for number in range(KEPT_FILES - 1, 0, -1):
                if self._numbered(number).exists():
                    self._numbered(number).replace(self._numbered(number + 1))
            self._path.replace(self._numbered(1))
        self._file = RecordFile(self._path)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _serialized(entry: _Entry, rate: float) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    spec = log.log_metadata.model_spec
    spec.name = entry.model
    spec.version.value = entry.version
    spec.signature_name = entry.signature.name
    log.log_metadata.sampling_config.sampling_rate = rate
    request, response = log.predict_log.request, log.predict_log.response
    for message in (request, response):
        message.model_spec.CopyFrom(spec)
    for name, array in entry.inputs.items():
        tensors.fill(request.inputs[name], array, entry.signature.inputs[name])
    for name, array in entry.outputs.items():
        tensors.fill(response.outputs[name], array, entry.signature.outputs[name])
    return log.SerializeToString()

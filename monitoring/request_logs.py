"""Reads logs of requests: TFRecord of PredictionLog or of tf.Examples, or JSON Lines.

A line of JSON is the body of a REST request as the server took it, or
`{"request": {...}, "response": {...}}` with the body that it answered. Any of these files may be
gzipped.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import prediction_log_pb2

from core import features
from core.errors import DexmatchError
from modules.export import signatures
from monitoring.traffic import Traffic
from serving.server import tensors
from serving.server.errors import ServingError
from serving.server.json_tensors import read_predict
from serving.server.json_text import parse_object
from serving.server.servable import Signature, TensorInfo

_GZIP = b"\x1f\x8b"
_LOG_FIELDS = {
    "predict_log": "a Predict request",
    "classify_log": "a Classify request",
    "regress_log": "a Regress request",
    "multi_inference_log": "a MultiInference request",
    "session_run_log": "a SessionRun request",
}
_SHOWN_BAD = 5


@dataclass
class Bad:
    """The records of a log that could not be read.

    Attributes:
      count: number of records or lines.
      first: the first few, as in "requests.jsonl:17: not JSON".
    """

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, path: Path, number: int, reason: str) -> None:
        """Counts a record or line; numbers begin at 1."""
        self.count += 1
        if len(self.first) < _SHOWN_BAD:
            self.first.append(f"{path}:{number}: {reason}")


def read(path: Path, traffic: Traffic, bad: Bad) -> None:
    """Counts the requests of a log.

    Args:
      traffic: is told of every request.
      bad: is told of every record that cannot be read.

    Raises:
      DexmatchError: the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            is_gzipped = file.read(len(_GZIP)) == _GZIP
        if _is_tfrecord(path, is_gzipped):
            _read_records(path, is_gzipped, traffic, bad)
        else:
            _read_lines(path, is_gzipped, traffic, bad)
    except OSError as error:
        raise DexmatchError(f"{path}: cannot be read ({error.strerror or error})") from error
    except EOFError as error:
        raise DexmatchError(f"{path}: its gzip stream ends too early") from error
    traffic.flush()


def _is_tfrecord(path: Path, is_gzipped: bool) -> bool:
    """A record begins with its length in eight bytes, of which some are 0; no text has a 0."""
    with gzip.open(path) if is_gzipped else path.open("rb") as file:
        return b"\0" in file.read(8)


def _read_records(path: Path, is_gzipped: bool, traffic: Traffic, bad: Bad) -> None:
    dataset = tf.data.TFRecordDataset(str(path), "GZIP" if is_gzipped else "")
    number = 0
    try:
        for record in dataset.as_numpy_iterator():
            number += 1
            try:
                traffic.add(*_of_record(record))
            except _UnreadableError as error:
                bad.add(path, number, str(error))
    except tf.errors.DataLossError:
        bad.add(path, number + 1, "damaged or cut off; what follows it cannot be read")


def _read_lines(path: Path, is_gzipped: bool, traffic: Traffic, bad: Bad) -> None:
    with gzip.open(path) if is_gzipped else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                traffic.add(*_of_line(line))
            except _UnreadableError as error:
                bad.add(path, number, str(error))


class _UnreadableError(Exception):
    """Why a record cannot be read."""


_Found = tuple[list[bytes], list[bytes], list[float]]
"""Pictures, captions, probabilities."""


def _of_record(record: bytes) -> _Found:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
        kind = log.WhichOneof("log_type")
    except DecodeError:
        kind = None
    if kind is None:
        return _of_example(record)
    if kind != "predict_log":
        raise _UnreadableError(f"{_LOG_FIELDS.get(kind, kind)}; only Predict requests are read")
    asked, answered = log.predict_log.request, log.predict_log.response
    name = asked.model_spec.signature_name or signatures.SERVING_DEFAULT
    try:
        return _gathered(name, tensors.to_arrays(asked.inputs), tensors.to_arrays(answered.outputs))
    except ServingError as error:
        raise _UnreadableError(error.message) from error


def _of_example(record: bytes) -> _Found:
    try:
        found = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        found = {}
    if features.IMAGE not in found and features.CAPTION not in found:
        raise _UnreadableError("neither a PredictionLog nor a tf.Example with image or caption")
    return (
        list(found[features.IMAGE].bytes_list.value),
        list(found[features.CAPTION].bytes_list.value),
        list(found[features.PROBABILITY].float_list.value),
    )


def _of_line(line: bytes) -> _Found:
    try:
        body: Any = parse_object(line)
        answer: Any = {}
        if "request" in body:
            body, answer = body["request"], body.get("response") or {}
            if not isinstance(body, dict) or not isinstance(answer, dict):
                raise _UnreadableError("`request` and `response` must be objects")
        name = body.get("signature_name") or signatures.SERVING_DEFAULT
        signature = _signature(name)
        inputs = read_predict(body, signature).inputs if signature else {}
    except ServingError as error:
        raise _UnreadableError(error.message) from error
    answered = answer.get("predictions", answer.get("outputs", []))
    return _gathered(name, inputs, {features.PROBABILITY: answered})


def _signature(name: Any) -> Signature | None:
    """What the pushed model takes; None if it takes no pictures and captions."""
    if name not in signatures.CONTRACT:
        raise _UnreadableError(f"unknown signature {str(name)[:100]!r}")
    if name == signatures.SCORE_EMBEDDINGS:
        return None
    inputs, _ = signatures.CONTRACT[name]
    infos = {key: TensorInfo(key, np.dtype(object), types_pb2.DT_STRING, (None,)) for key in inputs}
    return Signature(name, "", infos, {})


def _gathered(name: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> _Found:
    """What a request and its answer hold.

    The probabilities of embeddings are left out: a search asks for each combination.
    """
    images = _bytes(inputs, features.IMAGE)
    texts = _bytes(inputs, features.CAPTION)
    for serialized in _bytes(inputs, features.EXAMPLES):
        found = _of_example(serialized)
        images += found[0]
        texts += found[1]
    scores: list[float] = []
    if name in (signatures.SERVING_DEFAULT, signatures.SERVE_EXAMPLES):
        scores = list(_numbers(outputs.get(features.PROBABILITY, ())))
    return images, texts, scores


def _bytes(inputs: dict[str, Any], name: str) -> list[bytes]:
    values = inputs.get(name)
    if values is None:
        return []
    if values.dtype != object:
        raise _UnreadableError(f"input {name} holds no strings")
    return list(values.flat)


def _numbers(values: Any) -> Iterator[float]:
    try:
        found = np.asarray(values, np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise _UnreadableError("the response holds no list of probabilities") from error
    if not ((found >= 0) & (found <= 1)).all():
        raise _UnreadableError("the response holds what is no probability")
    yield from found.tolist()

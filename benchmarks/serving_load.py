"""Load for a model server, and the same work in process; each runs in a process of its own.

Requests are made ready beforehand and answers hardly looked at, since the load generator shares
the machine with the server.
"""

import base64
import concurrent.futures
import contextlib
import dataclasses
import functools
import http.client
import io
import json
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from benchmarks.serving_faults import MODEL, PREDICT, garbage

CAPTION = "a small red dragon with two wings"
GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"
TIMEOUT_S = 120.0
_KINDS = 8
"""Distinct requests, which take turns."""
_QUALITY = 85
_OPENING_SIDE = 64

Send = Callable[[bytes], str]
"""Sends a request and gives the code of the answer."""


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What is asked.

    Attributes:
      api: `REST`, `gRPC`.
      address: URL or host:port.
      clients: that ask at a time, each with a connection of its own.
      batch: pairs in a request.
      side: of the square pictures, in pixels.
      seconds: how long; each client ends the request that it has begun.
    """

    api: str
    address: str
    clients: int
    batch: int
    side: int
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """What came of it.

    Attributes:
      latencies: seconds of each request that was answered well.
      codes: number of answers by code.
      seconds: from the first request to the last answer.
    """

    latencies: list[float]
    codes: dict[str, int]
    seconds: float


@contextlib.contextmanager
def process() -> Iterator[Callable[..., Any]]:
    """A fresh process; yields what calls a function there."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def pictures(side: int, count: int) -> list[bytes]:
    """Smooth random JPEG files, always the same."""
    made = []
    random = np.random.default_rng(side)
    for _ in range(count):
        colours = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        image = Image.fromarray(colours).resize((side, side), Image.Resampling.BICUBIC)
        image.save(buffer, "JPEG", quality=_QUALITY)
        made.append(buffer.getvalue())
    return made


@functools.cache
def _score(folder: Path) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    model = tf.saved_model.load(str(folder))
    # The function holds its variables weakly.
    return model, model.signatures["serving_default"]


def in_process(folder: Path, batch: int, side: int, seconds: float) -> float:
    """Pairs per second of the SavedModel, called with one batch after another.

    The model stays loaded in the process that calls this.
    """
    _, score = _score(folder)
    import tensorflow as tf

    batches = [
        {"image": tf.constant(chosen), "caption": tf.constant([CAPTION] * batch)}
        for chosen in _batches(batch, side)
    ]
    score(**batches[0])
    count = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        score(**batches[count % len(batches)])["probability"].numpy()
        count += 1
    return count * batch / (time.perf_counter() - start)


def run(load: Load) -> Measured:
    """Asks from as many threads as there are clients."""
    requests = _requests(load.api, load.batch, load.side)
    # Connections are opened with little work: many large requests at once take minutes.
    opening = _requests(load.api, 1, _OPENING_SIDE)[0]
    sender = _sender(load.api, load.address)
    return _ask(load.clients, load.seconds, sender, opening, requests)


def burst(load: Load, requests: int) -> Counter[str]:
    """Asks so many requests at once, and counts the codes."""
    body = _requests(load.api, load.batch, load.side)[0]
    ready = threading.Barrier(requests)

    def one(_: int) -> str:
        with _sender(load.api, load.address)() as send:
            ready.wait(TIMEOUT_S)
            return send(body)

    with concurrent.futures.ThreadPoolExecutor(requests) as pool:
        return Counter(pool.map(one, range(requests)))


def send_garbage(
    url: str, numbers: Sequence[int], large_bytes: int, large_every: int
) -> Counter[Any]:
    """Sends bad requests one after another.

    Args:
      numbers: see `garbage`.
      large_bytes: length of the longest bodies; only one in `large_every` of the long ones has it.

    Returns:
      How often each (kind, code) was seen.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    seen: Counter[Any] = Counter()
    longs = 0
    for number in numbers:
        request = garbage(number, 0)
        if request.kind == "long body":
            longs += 1
            request = garbage(number, large_bytes if longs % large_every == 1 else 1)
        try:
            connection.request("POST", request.path, request.body, request.headers)
            response = connection.getresponse()
            response.read()
            seen[request.kind, str(response.status)] += 1
        except (OSError, http.client.HTTPException) as error:
            seen[request.kind, type(error).__name__] += 1
            connection.close()
    connection.close()
    return seen


def _batches(batch: int, side: int) -> list[list[bytes]]:
    files = pictures(side, _KINDS)
    return [[files[(n + k) % _KINDS] for n in range(batch)] for k in range(_KINDS)]


def _requests(api: str, batch: int, side: int) -> list[bytes]:
    return [_rest(each) if api == "REST" else _grpc(each) for each in _batches(batch, side)]


def _rest(images: list[bytes]) -> bytes:
    rows = [
        {"image": {"b64": base64.b64encode(image).decode()}, "caption": CAPTION} for image in images
    ]
    return json.dumps({"instances": rows}).encode()


def _grpc(images: list[bytes]) -> bytes:
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    for name, values in (("image", images), ("caption", [CAPTION.encode()] * len(images))):
        tensor = request.inputs[name]
        tensor.dtype = types_pb2.DT_STRING
        tensor.tensor_shape.dim.add(size=len(values))
        tensor.string_val.extend(values)
    return request.SerializeToString()


def _sender(api: str, address: str) -> Callable[[], contextlib.AbstractContextManager[Send]]:
    return lambda: _rest_sender(address) if api == "REST" else _grpc_sender(address)


@contextlib.contextmanager
def _rest_sender(url: str) -> Any:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)

    def send(body: bytes) -> str:
        connection.request("POST", PREDICT, body)
        response = connection.getresponse()
        response.read()
        return str(response.status)

    with contextlib.closing(connection):
        yield send


@contextlib.contextmanager
def _grpc_sender(address: str) -> Any:
    import grpc

    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        call = channel.unary_unary(GRPC_PREDICT)

        def send(body: bytes) -> str:
            try:
                call(body, timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "200"

        yield send


def _ask(
    clients: int,
    seconds: float,
    sender: Callable[[], contextlib.AbstractContextManager[Send]],
    opening: bytes,
    requests: list[bytes],
) -> Measured:
    latencies: list[float] = []
    codes: Counter[str] = Counter()
    lock = threading.Lock()
    started: list[float] = []
    ready = threading.Barrier(clients, lambda: started.append(time.perf_counter()))

    def client(number: int) -> None:
        mine = []
        seen: Counter[str] = Counter()
        with sender() as send:
            send(opening)
            ready.wait(TIMEOUT_S)
            end = time.perf_counter() + seconds
            while (start := time.perf_counter()) < end:
                number += 1
                code = send(requests[number % len(requests)])
                seen[code] += 1
                if code == "200":
                    mine.append(time.perf_counter() - start)
        with lock:
            latencies.extend(mine)
            codes.update(seen)

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(client, number) for number in range(clients)]:
            done.result()
    return Measured(latencies, dict(codes), time.perf_counter() - started[0])

"""What bad clients cost: requests that are small and ask for much, reloads, and connections.

    python -m benchmarks.serving_faults --model serving_model/dexmatch
    python -m benchmarks.serving_faults --only reloads --reloads 50

A small good request is sent all the while: how long its slowest answer took says whether others
were kept waiting. The server is stopped where it takes over 4 GB. `garbage` makes bad requests of
all sorts for the REST API, always the same; the tests send some of them too.
"""

import argparse
import base64
import concurrent.futures
import contextlib
import dataclasses
import gzip
import io
import json
import os
import random
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
from PIL import Image

from benchmarks import tables
from core import terminal
from serving import engines

MODEL = "dexmatch"
PREDICT = f"/v1/models/{MODEL}:predict"
GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"
MAX_MEGABYTES = 4000
"""Of the server; it is stopped beyond."""
IDLE_SOCKETS = 2048
BURST = 4000
CAPTION = "a small red dragon"
_MEGABYTE = 1e6
_TIMEOUT_S = 120.0
_SECTIONS = ("requests", "connections", "reloads")
_WARM_RELOADS = 5
"""After which memory is what it stays."""


@dataclasses.dataclass(frozen=True, slots=True)
class Garbage:
    """A POST request that no server should answer with success.

    Attributes:
      kind: what is wrong with it.
      path: as it is sent, URL-encoded.
    """

    kind: str
    path: str
    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


def garbage(number: int, large_bytes: int) -> Garbage:
    """The number-th bad request; the kinds take turns.

    Args:
      number: also the seed.
      large_bytes: length of the bodies that are too long.
    """
    source = random.Random(number)
    deep = source.choice([100, 900, 50_000])
    digits = b"9" * source.choice([40, 400, 6_000])
    kinds = [
        ("random bytes", PREDICT, source.randbytes(source.randrange(1, 5_000))),
        ("deep JSON", PREDICT, b"[" * deep + b"]" * deep),
        ("deep JSON", PREDICT, b'{"instances":' + b"[" * deep + b"1" + b"]" * deep + b"}"),
        ("deep JSON", PREDICT, b'{"instances":' + b'{"image":' * deep),
        ("huge number", PREDICT, b'{"instances": [' + digits + b"]}"),
        ("huge number", PREDICT, _row(digits)),
        ("wrong type", PREDICT, _row(source.choice([b"1", b"1e999", b"null", b"[]", b"{}"]))),
        ("wrong type", PREDICT, b'{"inputs": {"image": [["\xff\xfe"], ["a"]], "caption": ["a"]}}'),
        ("ragged list", PREDICT, b'{"inputs": {"image": [["a"], ["a", "b"]], "caption": ["a"]}}'),
        ("wrong base64", PREDICT, _row(b'{"b64": "%d?"}' % number)),
        ("wrong base64", PREDICT, _row(b'{"b64": "YQ==", "more": 1}')),
        ("missing input", PREDICT, b'{"inputs": {"caption": ["a"]}}'),
        ("unknown signature", PREDICT, b'{"signature_name": "\\udc80", "inputs": [1]}'),
        ("unknown model", f"/v1/models/{source.randbytes(9).hex()}:predict", _row(b'"a"')),
        ("unknown model", "/v1/models/%ff%00:predict", _row(b'"a"')),
        ("unknown path", "/v1/%ff%00:predict", b"{}"),
        ("wrong gzip", PREDICT, source.randbytes(100)),
        ("long body", PREDICT, bytes(large_bytes)),
    ]
    kind, path, body = kinds[number % len(kinds)]
    return Garbage(kind, path, body, {"Content-Encoding": "gzip"} if kind == "wrong gzip" else {})


def _row(image: bytes) -> bytes:
    return b'{"instances": [{"image": ' + image + b', "caption": "a"}]}'


@dataclasses.dataclass(frozen=True, slots=True)
class Attack:
    """A request that costs its sender little.

    Attributes:
      api: `REST`, `gRPC`.
      body: as it is sent.
      at_once: how often, each from a client of its own.
    """

    name: str
    api: str
    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    at_once: int = 1


def attacks() -> Iterator[Attack]:
    """All of them; some take a second to make."""
    million = 1 << 20
    packed = {"Content-Encoding": "gzip"}
    yield Attack("a picture for a million", "gRPC", _request({"image": (million, [b""])}))
    both = {name: (million, [b""]) for name in ("image", "caption")}
    yield Attack("a pair for a million", "gRPC", _request(both))
    yield Attack(
        "300 inputs of a million", "gRPC", _request({f"x{n}": (million, []) for n in range(300)})
    )
    empties = json.dumps({"inputs": {"image": [""] * million, "caption": ["x"]}}).encode()
    yield Attack("a million empty pictures", "REST", gzip.compress(empties), packed)
    objects = b'{"instances": [' + b"{}," * 7_000_000 + b"{}]}"
    yield Attack("7 million objects", "REST", gzip.compress(objects), packed, at_once=16)
    yield Attack("10 GB of blanks, packed", "REST", _blanks(10_000), packed)
    yield Attack("20 MB of JSON numbers", "REST", b'{"instances": [' + b"1," * 10_000_000 + b"1]}")
    yield Attack("a GIF frame of 400 Mpx", "gRPC", _pair(_gif(20_000)))
    png = _png(12_000)
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 << 20)))
    yield Attack("a PNG of 144 Mpx with a long text", "gRPC", _pair(_with_chunk(png, text)))
    broken = _chunk(b"tEXt", b"a\0b", checksum=1)
    yield Attack("a PNG of 144 Mpx with a bad text", "gRPC", _pair(_with_chunk(png, broken)))
    allowed = [_png(7_000)]
    yield Attack("32 PNG of 49 Mpx", "gRPC", _pair(*allowed * 32), at_once=2)
    yield Attack("8 PNG of 49 Mpx", "gRPC", _pair(*allowed * 8), at_once=4)
    large = _request({"image": (1, [bytes(60_000_000)]), "caption": (1, [b"a"])})
    yield Attack("60 MB", "gRPC", large, at_once=20)
    row = {"image": {"b64": base64.b64encode(bytes(45_000_000)).decode()}, "caption": "a"}
    yield Attack("60 MB", "REST", json.dumps({"instances": [row]}).encode(), at_once=20)


def _request(inputs: dict[str, tuple[int, list[bytes]]]) -> bytes:
    """A PredictRequest: sizes and values of its inputs, by name."""
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    for name, (size, values) in inputs.items():
        tensor = request.inputs[name]
        tensor.dtype = types_pb2.DT_STRING
        tensor.tensor_shape.dim.add(size=size)
        tensor.string_val.extend(values)
    return bytes(request.SerializeToString())


def _pair(*images: bytes) -> bytes:
    captions = [CAPTION.encode()] * len(images)
    return _request({"image": (len(images), [*images]), "caption": (len(images), captions)})


def _blanks(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    blank = b" " * 1_000_000
    return b"".join(packer.compress(blank) for _ in range(megabytes)) + packer.flush()


def _encoded(side: int, kind: str, mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (side, side)).save(buffer, kind)
    return buffer.getvalue()


def _gif(side: int) -> bytes:
    """Its one frame is larger than its screen."""
    made = _encoded(side, "GIF", "L")
    return made[:6] + struct.pack("<HH", 64, 64) + made[10:]


def _png(side: int) -> bytes:
    return _encoded(side, "PNG", "1")


def _chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _with_chunk(png: bytes, chunk: bytes) -> bytes:
    place = png.index(b"IDAT") - 4
    return png[:place] + chunk + png[place:]


class Watch:
    """Samples the memory of a server, and asks it something small over and over.

    Attributes:
      peak: megabytes.
      slowest: seconds of the slowest good answer.
      failed: good requests that got no good answer.
    """

    def __init__(self, server: engines.Running):
        self._server = server
        self._process = psutil.Process(server.pid)
        self._ended = threading.Event()
        self.peak = self.slowest = 0.0
        self.failed = 0

    @property
    def megabytes(self) -> float:
        """What it has now."""
        return float(self._process.memory_info().rss) / _MEGABYTE

    def __enter__(self) -> "Watch":
        self.peak = self.megabytes
        self._threads = [threading.Thread(target=each) for each in (self._sample, self._ask)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.01):
            with contextlib.suppress(psutil.Error):
                self.peak = max(self.peak, self.megabytes)
            if self.peak > MAX_MEGABYTES:
                os.kill(self._server.pid, signal.SIGKILL)
                return

    def _ask(self) -> None:
        body = {"signature_name": "encode_caption", "instances": [CAPTION]}
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
            while not self._ended.wait(0.05):
                start = time.perf_counter()
                try:
                    response = client.post(self._server.rest_url + PREDICT, json=body)
                    self.failed += response.status_code != 200
                except httpx.HTTPError:
                    self.failed += 1
                self.slowest = max(self.slowest, time.perf_counter() - start)


def _send(server: engines.Running, attack: Attack) -> str:
    """The code of the answer."""
    if attack.api == "REST":
        url = server.rest_url + PREDICT
        try:
            response = httpx.post(
                url,
                content=attack.body,
                headers=attack.headers,
                timeout=_TIMEOUT_S,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        return str(response.status_code)
    import grpc

    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.grpc_address, options) as channel:
        try:
            channel.unary_unary(GRPC_PREDICT)(attack.body, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def _counted(codes: Counter[str]) -> str:
    return ", ".join(f"{count:,} × {code}" for code, count in sorted(codes.items()))


def measure_requests(server: engines.Running) -> None:
    """Prints what each attack cost."""
    table = terminal.table(
        "request", "API", "at once>", "bytes>", "answers", "s>", "slowest other s>",
        "failed others>", "MB before>", "peak>", "after>",
    )  # fmt: skip
    for attack in attacks():
        with Watch(server) as watch:
            before = watch.megabytes
            start = time.perf_counter()
            with concurrent.futures.ThreadPoolExecutor(attack.at_once) as pool:
                sent = [pool.submit(_send, server, attack) for _ in range(attack.at_once)]
                codes = Counter(each.result() for each in sent)
            seconds = time.perf_counter() - start
        table.add_row(
            attack.name,
            attack.api,
            str(attack.at_once),
            f"{len(attack.body):,}",
            _counted(codes),
            f"{seconds:.2f}",
            f"{watch.slowest:.2f}",
            str(watch.failed),
            f"{before:,.0f}",
            f"{watch.peak:,.0f}",
            f"{watch.megabytes:,.0f}",
        )
    tables.show(table)


def measure_connections(server: engines.Running) -> None:
    """Prints whether others are served beside idle sockets, dribbling bodies and a burst."""
    table = terminal.table("connections", "what came of it", "slowest other s>", "failed others>")
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode()
    kinds: dict[str, Callable[[], str]] = {
        f"{IDLE_SOCKETS:,} that say nothing": lambda: _idle(server, b""),
        f"{IDLE_SOCKETS:,} in the middle of a body": lambda: _idle(server, head + b"{"),
        f"{BURST:,} calls at once over gRPC": lambda: _burst(server),
    }
    for name, attack in kinds.items():
        with Watch(server) as watch:
            told = attack()
        table.add_row(name, told, f"{watch.slowest:.2f}", str(watch.failed))
    tables.show(table)


def _idle(server: engines.Running, said: bytes) -> str:
    parts = urlsplit(server.rest_url)
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE_SOCKETS):
            made = socket.create_connection((parts.hostname, parts.port), timeout=_TIMEOUT_S)
            stack.enter_context(made).sendall(said)
        # Long enough for some good requests.
        time.sleep(3)
    return "held for 3 s"


def _burst(server: engines.Running) -> str:
    import grpc

    body = _request({"caption": (1, [CAPTION.encode()])})
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary(GRPC_PREDICT)
        calls = [call.future(body, timeout=_TIMEOUT_S) for _ in range(BURST)]
        return _counted(Counter(each.code().name for each in calls))


def measure_reloads(version: Path, count: int) -> None:
    """Prints the memory of a server after each of the first reloads, and after many."""
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch, MODEL)
        shutil.copytree(version, base / "1")
        with engines.running(engines.choose("embedded"), _options(base)) as server:
            watch = Watch(server)
            megabytes = [watch.megabytes]
            for number in range(2, count + 2):
                made = Path(scratch, "made")
                shutil.copytree(version, made)
                made.rename(base / str(number))
                _await_version(server, number)
                shutil.rmtree(base / str(number - 1))
                megabytes.append(watch.megabytes)
    table = terminal.table("reloads>", "MB>")
    shown = sorted({0, 1, _WARM_RELOADS, *range(10, count, 10), count})
    for number in shown:
        if number <= count:
            table.add_row(str(number), f"{megabytes[number]:,.0f}")
    tables.show(table)


def _await_version(server: engines.Running, number: int) -> None:
    """Waits until it answers and the one before has ended."""
    url = f"{server.rest_url}/v1/models/{MODEL}"
    for _ in range(int(_TIMEOUT_S / 0.05)):
        told = httpx.get(url, timeout=_TIMEOUT_S, trust_env=False).json()["model_version_status"]
        states = {int(each["version"]): each["state"] for each in told}
        if states.get(number) == "AVAILABLE" and states.get(number - 1) == "END":
            return
        time.sleep(0.05)
    raise SystemExit(f"Error: version {number} did not replace the one before")


def _options(base: Path) -> engines.Options:
    return engines.Options(
        MODEL,
        base.resolve(),
        batching_config=Path("serving_model/batching.config"),
        grpc_port=0,
        rest_port=0,
        poll_seconds=0.1,
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", type=Path, default=Path("serving_model/dexmatch"))
    parser.add_argument("--only", choices=_SECTIONS, help="this, and not all")
    parser.add_argument("--reloads", type=int, default=50)
    arguments = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = None
    sections: dict[str, Callable[[], Any]] = {
        "requests": lambda: _on_server(arguments.model, measure_requests),
        "connections": lambda: _on_server(arguments.model, measure_connections),
        "reloads": lambda: measure_reloads(_newest(arguments.model), arguments.reloads),
    }
    for name in [arguments.only] if arguments.only else _SECTIONS:
        sections[name]()


def _on_server(model: Path, measure: Callable[[engines.Running], None]) -> None:
    with engines.running(engines.choose("embedded"), _options(model)) as server:
        measure(server)


def _newest(model: Path) -> Path:
    return max(
        (path for path in model.iterdir() if path.name.isdecimal()),
        key=lambda path: int(path.name),
    )


if __name__ == "__main__":
    main()

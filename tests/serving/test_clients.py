"""The REST and gRPC clients against the embedded server, and against servers that misbehave."""

import base64
import contextlib
import gzip
import http.server
import logging
import socket
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2

from serving import engines
from serving.client import (
    ClientError,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    Retries,
    ServerFault,
    ServingUnavailable,
    Settings,
    VersionStatus,
    open_model,
    retries,
)
from serving.client.retries import Deadline

pytestmark = pytest.mark.slow

WIRES = ("http", "grpc")
IMPATIENT = Settings(deadline_s=0.5, retries=Retries(attempts=10**6, longest_pause_s=0.1))


@pytest.fixture(scope="module")
def server(serving):
    """The address of the real server for each wire."""
    return {"http": serving.rest_url, "grpc": f"grpc://{serving.grpc_address}"}


@pytest.fixture(params=WIRES)
def wire(request):
    return request.param


@pytest.fixture
def client(server, wire):
    with open_model(server[wire]) as opened:
        yield opened


def test_the_same_answers_as_in_process(client, tiny, pictures):
    images = [*pictures.values(), b"broken"] * 6
    texts = (["a red bird", "blue fish", "", "grün 魚"] * len(images))[: len(images)]
    assert len(images) > 2 * client.settings.max_batch
    scored = client.score(images, texts)
    assert scored.dtype == np.float32
    np.testing.assert_allclose(scored, tiny.score(images, texts), atol=1e-5)
    assert (scored == 0).tolist() == [
        image == b"broken" or not text for image, text in zip(images, texts, strict=True)
    ]
    encoded, words = client.encode_images(images), client.encode_captions(texts)
    np.testing.assert_allclose(encoded, tiny.encode_images(images), atol=1e-5)
    np.testing.assert_allclose(words, tiny.encode_captions(texts), atol=1e-5)
    # More rows than the server takes: it is asked in smaller parts.
    np.testing.assert_allclose(client.score_embeddings(encoded, words), scored, atol=1e-5)


def test_a_single_row_and_none(client, tiny, pictures):
    image = pictures["rgb.png"]
    np.testing.assert_allclose(
        client.score([image], ["a bird"]), tiny.score([image], ["a bird"]), atol=1e-5
    )
    assert client.score([], []).shape == (0,)
    assert client.encode_images([b""]).tolist() == [[0.0] * 8]


def test_status(client):
    assert client.status() == [VersionStatus(1, "AVAILABLE")]
    assert client.version() == 1


def test_an_unknown_model(server, wire):
    with open_model(server[wire], model="other") as client:
        for ask in (client.status, lambda: client.encode_captions(["a"])):
            with pytest.raises(ModelNotFound, match=server[wire]) as raised:
                ask()
            assert "\n" not in str(raised.value)


@pytest.mark.parametrize("rows", [2, 100])
def test_a_wrong_shape_is_refused(client, rows):
    wrong = np.ones((rows, 5), np.float32)
    with pytest.raises(InvalidRequest) as raised:
        client.score_embeddings(wrong, wrong)
    assert client.where in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_closed_client_says_so(server, wire):
    client = open_model(server[wire])
    client.encode_captions(["a"])
    client.close()
    with pytest.raises((ClientError, RuntimeError), match="closed"):
        client.encode_captions(["a"])


def test_many_threads_share_a_client(client, tiny, pictures):
    images = list(pictures.values())
    expected = tiny.score(images, ["a red bird"] * len(images))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: client.score([image], ["a red bird"])[0], images * 3))
    np.testing.assert_allclose(found, np.tile(expected, 3), atol=1e-5)


def test_a_call_outlives_the_start_of_the_server(tiny_models):
    with contextlib.ExitStack() as held:
        ports = {
            wire: held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for wire in WIRES
        }
    settings = Settings(deadline_s=120, retries=Retries(attempts=10**6, longest_pause_s=0.2))
    calling = threading.Semaphore(0)

    def call(wire):
        with open_model(f"{wire}://127.0.0.1:{ports[wire]}", settings=settings) as client:
            calling.release()
            return client.encode_captions(["a red bird"])

    with ThreadPoolExecutor(len(WIRES)) as pool:
        calls = [pool.submit(call, wire) for wire in WIRES]
        for _ in calls:
            calling.acquire()
        options = engines.Options(
            "dexmatch", tiny_models.first, grpc_port=ports["grpc"], rest_port=ports["http"]
        )
        with engines.started(engines.choose("embedded"), options):
            answers = [each.result() for each in calls]
    np.testing.assert_array_equal(*answers)
    assert answers[0].any()


def test_nobody_there(wire, free_port):
    with open_model(
        f"{wire}://127.0.0.1:{free_port}", settings=Settings(retries=Retries(attempts=2))
    ) as client:
        with pytest.raises(ServingUnavailable, match=f"127.0.0.1:{free_port}") as raised:
            client.encode_captions(["a"])
    assert "\n" not in str(raised.value)


def test_the_deadline_bounds_the_retries(wire, free_port):
    with open_model(f"{wire}://127.0.0.1:{free_port}", settings=IMPATIENT) as client:
        with pytest.raises((ServingUnavailable, DeadlineExceeded)):
            client.encode_captions(["a"])


def test_a_server_that_never_answers(wire):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{wire}://127.0.0.1:{silent.getsockname()[1]}"
        with open_model(address, settings=IMPATIENT) as client:
            with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.5 s"):
                client.encode_captions(["a"])


@contextlib.contextmanager
def listening(handler):
    """A server in threads; yields its address."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as listener:
        listener.daemon_threads = True
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.server_address[1]}"
        listener.shutdown()
        thread.join()


def overloaded(real, failures):
    """A proxy before a real server that turns the first requests away, and counts all."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        seen = 0

        def do_POST(self):
            type(self).seen += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.seen <= failures:
                status, content = 503, b'{"error": "The queue is full"}'
            else:
                answer = httpx.post(real + self.path, content=body, trust_env=False)
                status, content = answer.status_code, answer.content
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Proxy


def test_503_is_tried_again(server, tiny):
    proxy = overloaded(server["http"], failures=2)
    with listening(proxy) as address, open_model(f"http://{address}") as client:
        found = client.encode_captions(["a red bird"])
    np.testing.assert_allclose(found, tiny.encode_captions(["a red bird"]), atol=1e-5)
    assert proxy.seen == 3


def test_retries_come_to_an_end(server):
    proxy = overloaded(server["http"], failures=10**6)
    settings = Settings(retries=Retries(attempts=3, first_pause_s=0.01))
    with listening(proxy) as address, open_model(f"http://{address}", settings=settings) as client:
        with pytest.raises(ServingUnavailable, match="The queue is full"):
            client.encode_captions(["a red bird"])
    assert proxy.seen == 3


def test_what_is_wrong_is_not_sent_again(server):
    proxy = overloaded(server["http"], failures=0)
    with listening(proxy) as address, open_model(f"http://{address}") as client:
        with pytest.raises(InvalidRequest):
            client.score_embeddings(*[np.ones((1, 5), np.float32)] * 2)
    assert proxy.seen == 1


class Trickling(socketserver.BaseRequestHandler):
    """A byte now and then, for ever: each comes in time, all together never."""

    def handle(self):
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                self.request.sendall(b" ")
                threading.Event().wait(0.05)


def test_an_answer_that_trickles_meets_the_deadline():
    with listening(Trickling) as address:
        with open_model(f"http://{address}", settings=IMPATIENT) as client:
            with pytest.raises(DeadlineExceeded):
                client.encode_captions(["a"])


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        ("200 OK", b"<html>Welcome</html>", ServerFault),
        ("200 OK", b"[1, 2]", ServerFault),
        ("200 OK", b'{"outputs": ["a"]}', ServerFault),
        ("200 OK", b'{"outputs": [[1.0], [2.0]]}', ServerFault),
        ("200 OK", b'{"outputs": [1.0]}', ServerFault),
        ("200 OK", b'{"outputs": 1.0}', ServerFault),
        ("200 OK", b'{"outputs": [[[1.0]]]}', ServerFault),
        ("200 OK", b'{"outputs": [[]]}', ServerFault),
        ("200 OK", b'{"outputs": [["1.0"]]}', ServerFault),
        ("200 OK", b'{"outputs": [[null]]}', ServerFault),
        ("200 OK", b'{"outputs": [[NaN]]}', ServerFault),
        ("200 OK", b'{"outputs": [[1e39]]}', ServerFault),
        ("200 OK", b'{"outputs": [[1%s]]}' % (b"0" * 400), ServerFault),
        ("200 OK", b"[" * 100_000, ServerFault),
        ("400 Bad Request", b"[" * 100_000, InvalidRequest),
        ("302 Found", b"", ServerFault),
        ("404 Not Found", b"nothing here", ModelNotFound),
        ("413 Too Large", b'{"error": "too\\nlarge"}', ClientError),
    ],
)
def test_what_answers_is_no_model_server(status, body, error):
    class Other(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            self.request.sendall(head.encode() + body)

    with listening(Other) as address, open_model(f"http://{address}") as client:
        with pytest.raises(error, match=address) as raised:
            client.encode_captions(["a"])
    assert "\n" not in str(raised.value)


def test_a_status_that_is_none_is_told():
    infinite = b'{"model_version_status": [{"version": Infinity, "state": "AVAILABLE"}]}'
    with listening(answering(infinite)) as address, open_model(f"http://{address}") as client:
        with pytest.raises(ServerFault, match="is no model server"):
            client.status()


def answering(body, *headers):
    """Answers every request with this body."""

    class Answering(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            head = ("HTTP/1.1 200 OK", "Connection: close", f"Content-Length: {len(body)}")
            self.request.sendall("\r\n".join([*head, *headers, "", ""]).encode() + body)

    return Answering


@pytest.mark.parametrize("answer", [b"[1.5]", b"[-0.5]", b"[NaN]", b"[[0.5, 0.5]]"])
def test_what_is_no_probability_is_told(answer):
    body = b'{"outputs": %s}' % answer
    with listening(answering(body)) as address, open_model(f"http://{address}") as client:
        with pytest.raises(ServerFault, match="serving_default answered") as raised:
            client.score([b"x"], ["a"])
    assert "\n" not in str(raised.value)


class Endless(socketserver.BaseRequestHandler):
    """Sends as long as someone reads."""

    def handle(self):
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                self.request.sendall(b"10000\r\n" + b"1" * 65536 + b"\r\n")


class Promising(socketserver.BaseRequestHandler):
    """Says that it will send more than anyone can hold, and keeps silent."""

    def handle(self):
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        with contextlib.suppress(OSError):
            self.request.recv(65536)


PACKED = answering(gzip.compress(bytes(64 << 20)), "Content-Encoding: gzip")


@pytest.mark.parametrize("handler", [Endless, Promising, PACKED])
def test_an_answer_without_end_is_given_up(handler):
    with listening(handler) as address:
        with open_model(f"http://{address}", settings=Settings(deadline_s=10)) as client:
            with pytest.raises(ServerFault, match="answered with more than 16,777,216 bytes"):
                client.encode_captions(["a"])


ANSWER = b'{"outputs": [[0.5, 0.25]]}'


def name_part(value):
    """The part of a test's name that stands for a parameter: texts as they are, bytes by size."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else value


def test_a_packed_answer_is_unpacked():
    packed = answering(gzip.compress(ANSWER, mtime=0), "Content-Encoding: gzip")
    with listening(packed) as address, open_model(f"http://{address}") as client:
        assert client.encode_captions(["a"]).tolist() == [[0.5, 0.25]]


@pytest.mark.parametrize(
    ("body", "packing", "told"),
    [
        (ANSWER, "gzip", "broken gzip"),
        (gzip.compress(ANSWER, mtime=0)[:-1], "gzip", "broken gzip"),
        (ANSWER, "br", "Content-Encoding 'br'"),
    ],
    ids=name_part,
)
def test_an_answer_that_cannot_be_unpacked(body, packing, told):
    handler = answering(body, f"Content-Encoding: {packing}")
    with listening(handler) as address, open_model(f"http://{address}") as client:
        with pytest.raises(ServerFault, match=told):
            client.encode_captions(["a"])


def predicted(**tensor):
    """A PredictResponse, serialized, whose embedding is a TensorProto of these fields."""
    answer = predict_pb2.PredictResponse()
    found = answer.outputs["embedding"]
    for size in tensor.pop("shape"):
        found.tensor_shape.dim.add(size=size)
    found.dtype = tensor.pop("dtype", types_pb2.DT_FLOAT)
    for name, value in tensor.items():
        if name == "tensor_content":
            found.tensor_content = value
        else:
            getattr(found, name).extend(value)
    return answer.SerializeToString()


@contextlib.contextmanager
def answering_grpc(content, **options):
    """A gRPC server that answers every request with these bytes; yields its address."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, _):
            return grpc.unary_unary_rpc_method_handler(lambda *_: content)

    unbounded = [("grpc.max_send_message_length", -1)]
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads, [Handler()], options=unbounded, **options)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"grpc://127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (predicted(shape=[1], float_val=[1.0]), r"float32 \[1\] to 1 rows, not float32 \[N, D\]"),
        (predicted(shape=[2, 1], float_val=[1.0, 2.0]), "to 1 rows"),
        (predicted(shape=[1, 1], dtype=types_pb2.DT_DOUBLE, double_val=[1.0]), "not DT_FLOAT"),
        (predicted(shape=[1, 1], dtype=types_pb2.DT_STRING, string_val=[b"a"]), "not DT_FLOAT"),
        (predicted(shape=[1, 2], tensor_content=bytes(4)), "is broken"),
        (predicted(shape=[1, 1], tensor_content=bytes(3)), "is broken"),
        (predicted(shape=[1, 3], float_val=[1.0, 2.0]), "is broken"),
        (predicted(shape=[1, -1], float_val=[1.0]), "is broken"),
        # A single value stands for all, of which there would be a terabyte.
        (predicted(shape=[1, 1 << 38], float_val=[1.0]), "is broken"),
        (predicted(shape=[1, 1], float_val=[float("nan")]), "nan, which is no embedding"),
        (b"", "without 'embedding'"),
    ],
    ids=name_part,
)
def test_a_wrong_answer_over_grpc_is_told_in_one_line(content, told):
    with answering_grpc(content) as address, open_model(address) as client:
        with pytest.raises(ServerFault, match=told) as raised:
            client.encode_captions(["a"])
    assert address in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_an_answer_over_grpc_that_is_too_large(compression):
    content = predicted(shape=[1, 5 << 20], tensor_content=bytes(20 << 20))
    with answering_grpc(content, compression=compression) as address:
        with open_model(address) as client:
            with pytest.raises(ServerFault, match="larger than max"):
                client.encode_captions(["a"])


def test_a_server_that_hides_its_version_cannot_be_pinned():
    with answering_grpc(b"") as address, open_model(address) as client:
        with pytest.raises(ServerFault, match="does not say which version answers"):
            client.pin()


SECRET = "tr0ub4dor"


def test_a_password_is_sent_and_never_shown(caplog):
    seen = []

    class Asking(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers["Authorization"])
            self.send_error(401)

        def log_message(self, *_):
            pass

    caplog.set_level(logging.DEBUG)
    with listening(Asking) as address:
        with open_model(f"http://jo:{SECRET}@{address}/at") as client:
            with pytest.raises(ServerFault, match="401") as raised:
                client.status()
            assert f"http://{address}/at" in str(raised.value)
            assert SECRET not in client.where
    assert seen == [f"Basic {base64.b64encode(f'jo:{SECRET}'.encode()).decode()}"]
    assert "HTTP Request" in caplog.text
    assert SECRET not in str(raised.value) + caplog.text


@pytest.mark.parametrize(
    "address",
    [
        f"http://jo:{SECRET}@host:port",
        f"https://jo:a/{SECRET}@host",
        f"https://jo:a?{SECRET}@host:8501",
        f"https://jo:80/{SECRET}@host:8501",
        f"ftp://jo:{SECRET}@host",
        f"grpc://jo:{SECRET}@host:8500",
        f"grpcs://{SECRET}@host:8500",
        f"x@y://jo:://{SECRET}@host",
    ],
)
def test_an_address_that_is_refused_is_told_without_its_password(address):
    with pytest.raises(InvalidRequest, match="host") as raised:
        open_model(address)
    assert SECRET not in str(raised.value)


def test_pauses_double_up_to_the_longest_and_are_drawn_at_random(monkeypatch):
    drawn, slept = [], []
    monkeypatch.setattr(
        retries.random, "uniform", lambda low, high: drawn.append((low, high)) or high / 2
    )
    monkeypatch.setattr(retries.time, "sleep", slept.append)

    def unavailable():
        raise ServingUnavailable("busy")

    policy = Retries(attempts=7, first_pause_s=0.1, longest_pause_s=1.0)
    with pytest.raises(ServingUnavailable):
        policy.call(unavailable, Deadline(1000, "here"))
    assert drawn == [(0, high) for high in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0)]
    assert slept == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5])

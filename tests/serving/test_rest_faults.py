"""What goes wrong on the way to the REST API harms nobody else."""

import base64
import contextlib
import gc
import gzip
import json
import random
import select
import socket
import zlib
from collections import Counter
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
import tensorflow as tf

from benchmarks.serving_faults import garbage
from serving.server import http
from serving.server.core import CoreOptions
from serving.server.rest import RestSettings

pytestmark = pytest.mark.slow

MAX_BODY = 4 << 20
PREDICT = "/v1/models/toy:predict"
GOOD = {"instances": [1.5]}


@pytest.fixture(scope="module")
def url(support, pushed, toy):
    options = CoreOptions(poll_s=0, max_pixels=1_000_000)
    settings = RestSettings(max_body_bytes=MAX_BODY)
    with support.serving({"toy": toy, "dexmatch": pushed}, settings, options) as made:
        yield made


@pytest.fixture(autouse=True)
def answers_right_afterwards(url):
    """Whatever a test does, the server is well at its end."""
    yield
    response = httpx.post(url + PREDICT, json=GOOD, timeout=60)
    assert response.json() == {"predictions": [2.5]}


@contextlib.contextmanager
def connection(url):
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as made:
        yield made


def head(*lines, method="POST", path=PREDICT):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def is_closed(made):
    """Whether the server ends the connection; a reset is what bytes under way then get."""
    try:
        return made.recv(100) == b""
    except ConnectionResetError:
        return True


def read_answer(made):
    """Status and body of the next answer on a connection."""
    with made.makefile("rb") as file:
        status = int(file.readline().split()[1])
        length = 0
        while (line := file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, file.read(length)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_refused_and_the_client_that_goes_on_sending_is_told(url, chunked):
    piece = bytes(1 << 20)
    before = psutil.Process().memory_info().rss
    with connection(url) as made:
        if chunked:
            made.sendall(head("Transfer-Encoding: chunked"))
            frame = b"%x\r\n%s\r\n" % (len(piece), piece)
            ending = b"0\r\n\r\n"
        else:
            made.sendall(head(f"Content-Length: {100 * len(piece)}"))
            frame, ending = piece, b""
        for _ in range(100):
            made.sendall(frame)
        made.sendall(ending)
        status, body = read_answer(made)
        assert status == 413
        assert json.loads(body) == {
            "error": "The request body is over the limit of 4,194,304 bytes"
        }
        # The connection is still of use.
        content = json.dumps(GOOD).encode()
        made.sendall(head(f"Content-Length: {len(content)}") + content)
        assert read_answer(made)[0] == 200
    assert psutil.Process().memory_info().rss - before < 50 << 20


def test_a_client_that_asks_first_is_spared_the_sending(url):
    with connection(url) as made:
        made.sendall(head("Content-Length: 104857600", "Expect: 100-continue"))
        assert read_answer(made)[0] == 413


def test_a_gzip_bomb_stops_at_the_limit(url):
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(500)) + packer.flush()
    assert len(bomb) < 1 << 20
    before = psutil.Process().memory_info().rss
    response = httpx.post(url + PREDICT, content=bomb, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 413
    assert psutil.Process().memory_info().rss - before < 50 << 20


@pytest.mark.parametrize(
    "content",
    [b"no gzip", b"", gzip.compress(b"{}")[:-3], gzip.compress(b"{}") + b"more"],
    # A gzip file holds the time, and so would the test's name.
    ids=["none", "empty", "cut off", "more"],
)
def test_bad_gzip(url, content):
    response = httpx.post(url + PREDICT, content=content, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 400
    assert "gzip" in response.json()["error"]


def test_a_picture_of_many_pixels_is_refused_before_it_is_decoded(url):
    picture = tf.io.encode_png(np.zeros((1001, 1000, 3), np.uint8)).numpy()
    row = {"image": {"b64": base64.b64encode(picture).decode()}, "caption": "a"}
    response = httpx.post(f"{url}/v1/models/dexmatch:predict", json={"instances": [row]})
    assert response.status_code == 400
    assert "1,000,000" in response.json()["error"]


def test_a_slow_client_keeps_nobody_waiting(url):
    content = json.dumps(GOOD).encode()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connection(url)) for _ in range(40)]
        for made in slow[:20]:
            made.sendall(b"POST /v1/models/toy:pre")
        for made in slow[20:]:
            made.sendall(head(f"Content-Length: {len(content)}") + content[:5])
        assert httpx.post(url + PREDICT, json=GOOD).json() == {"predictions": [2.5]}
        # They are answered in the end.
        slow[0].sendall(
            head(f"Content-Length: {len(content)}")[len(b"POST /v1/models/toy:pre") :] + content
        )
        slow[20].sendall(content[5:])
        assert read_answer(slow[0])[0] == 200
        assert read_answer(slow[20])[0] == 200


def test_a_client_that_never_ends_its_head_is_dropped(url, monkeypatch):
    monkeypatch.setattr(http, "HEAD_S", 0.2)
    with connection(url) as made:
        made.sendall(b"POST /v1/models/toy:pre")
        assert made.recv(100) == b""


def test_a_client_that_stops_in_its_body_is_told(url, monkeypatch):
    monkeypatch.setattr("serving.server.limits.IDLE_S", 0.2)
    with connection(url) as made:
        made.sendall(head("Content-Length: 100") + b"{")
        assert read_answer(made)[0] == 408


def dribble(made):
    """Sends a byte now and then, until something comes."""
    while not select.select([made], [], [], 0.02)[0]:
        made.sendall(b"x")


def test_a_body_that_dribbles_is_told_and_closed(url, monkeypatch):
    monkeypatch.setattr("serving.server.limits.IDLE_S", 0.5)
    with connection(url) as made:
        made.sendall(head("Content-Length: 100000"))
        dribble(made)
        assert read_answer(made)[0] == 408
        assert is_closed(made)


def test_the_rest_of_a_refused_body_is_not_waited_for_without_end(url, monkeypatch):
    monkeypatch.setattr(http, "LINGER_S", 0.2)
    with connection(url) as made:
        made.sendall(head("Content-Length: 104857600"))
        assert read_answer(made)[0] == 413
        dribble(made)
        assert is_closed(made)


def test_connections_that_do_nothing_make_room(support, toy, monkeypatch):
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 12)
    content = json.dumps(GOOD).encode()
    with support.serving({"toy": toy}) as other, contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connection(other)) for _ in range(12)]
        for number, made in enumerate(idle):
            # Some have begun a head or a body, some were answered before.
            if number % 3 == 1:
                made.sendall(b"POST /v1/models")
            if number % 3 == 2:
                made.sendall(head("Content-Length: 100") + b"{")
            if number == 0:
                made.sendall(head(f"Content-Length: {len(content)}") + content)
                assert read_answer(made)[0] == 200
        for _ in range(30):
            good = stack.enter_context(connection(other))
            good.sendall(head(f"Content-Length: {len(content)}") + content)
            assert read_answer(good)[0] == 200
        # The longest waiting was closed first.
        assert select.select(idle, [], [], 60)[0]
        assert is_closed(idle[1])


def test_a_head_without_end_is_refused(url):
    with connection(url) as made:
        made.sendall(b"GET /v1/models/toy HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            for number in range(100):
                made.sendall(b"X-%d: %s\r\n" % (number, b"x" * 10_000))
        with contextlib.suppress(ConnectionResetError):
            assert made.recv(100).startswith(b"HTTP/1.1 400")


def test_clients_that_leave_pipelined_requests_behind_write_nothing_into_the_log(url, caplog):
    caplog.set_level("WARNING")
    content = json.dumps({"signature_name": "linger", "instances": [1.5]}).encode()
    asked = head(f"Content-Length: {len(content)}") + content
    with connection(url) as made:
        made.sendall(asked * 3)
    with connection(url) as made:
        made.sendall(asked + head(method="GET", path="/v1/models/toy") + b"@@\r\n\r\n")
    # One that is answered after those.
    assert httpx.post(url + PREDICT, content=content, timeout=60).status_code == 200
    # The process hushes uvicorn's warnings of requests that are no HTTP.
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_clients_that_disconnect_in_the_middle(url):
    content = json.dumps({"instances": [1.5] * 10_000}).encode()
    for number in range(60):
        with connection(url) as made:
            made.sendall(head(f"Content-Length: {len(content)}"))
            # Before the body, within it, and before the answer.
            made.sendall(content[: (0, len(content) // 2, len(content))[number % 3]])


def test_bodies_held_together_are_limited(support, toy):
    settings = RestSettings(max_body_bytes=1 << 20)
    options = CoreOptions(poll_s=0, max_bytes_under_way=16 << 20)
    with support.serving({"toy": toy}, settings, options) as other, contextlib.ExitStack() as stack:
        made = [stack.enter_context(connection(other)) for _ in range(18)]
        for each in made:
            each.sendall(head(f"Content-Length: {1 << 20}") + bytes((1 << 20) - 1))
        # Sixteen wait for their last byte; whoever came on top was refused.
        select.select(made, [], [], 60)
        for each in made:
            each.sendall(b" ")
        statuses = Counter(read_answer(each)[0] for each in made)
    assert statuses == {400: 16, 429: 2}


def test_garbage_is_refused_and_forgotten(url):
    process = psutil.Process()
    codes = set()
    with httpx.Client(base_url=url, timeout=60) as client:

        def send(numbers):
            for number in numbers:
                bad = garbage(number, MAX_BODY + 1)
                response = client.post(bad.path, content=bad.body, headers=bad.headers)
                codes.add(response.status_code)

        send(range(100))
        grown = []
        for first in range(100, 500, 100):
            before = process.memory_info().rss
            send(range(first, first + 100))
            # httpx's own requests and answers hold each other, with their bodies.
            gc.collect()
            grown.append(process.memory_info().rss - before)
    assert codes == {400, 404, 413}
    # Whatever else the process does may grow it in a round; what is kept is kept in each, 24 MB.
    assert min(grown) < 16 << 20


def test_bytes_that_are_no_http(url):
    for number in range(50):
        with connection(url) as made:
            made.sendall(random.Random(number).randbytes(500) + b"\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert made.recv(100)[:12] in (b"HTTP/1.1 400", b"")

"""What small requests may cost, of each and of all together, over both APIs."""

import asyncio
import contextlib
import gzip
import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc

from core.config import ModelConfig
from modules.export import signatures
from modules.network import model
from serving import files
from serving.server import grpc_reading, limits, pictures, tensors
from serving.server.batching import Batching
from serving.server.core import CoreOptions, ServerCore
from serving.server.errors import ServingError
from serving.server.rest import RestSettings

pytestmark = pytest.mark.slow

PATIENCE_S = 120
INVALID = grpc.StatusCode.INVALID_ARGUMENT
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
MANY = 1 << 20
BATCHING = Batching(max_batch_size=4, timeout_s=0, max_enqueued_batches=100, threads=1)
BYTES = 4 << 20


@pytest.fixture(scope="module")
def server(support, pushed, toy):
    options = CoreOptions(poll_s=0, max_rows=4, max_pixels=10_000, max_bytes_under_way=BYTES)
    settings = RestSettings(max_body_bytes=2 << 20)
    with support.serving_both({"toy": toy, "dexmatch": pushed}, settings, options) as made:
        yield made


@pytest.fixture(scope="module")
def joining(support, pushed, toy):
    """As `server`, with batching."""
    options = CoreOptions(poll_s=0, batching=BATCHING, max_pixels=10_000)
    with support.serving_both({"toy": toy, "dexmatch": pushed}, options=options) as made:
        yield made


@pytest.fixture
def nothing_is_made(monkeypatch):
    """Fails what looks into inputs or makes arrays of them."""

    def fail(*_):
        raise AssertionError("it came too far")

    monkeypatch.setattr(pictures, "count_pixels", fail)
    monkeypatch.setattr(tensors, "to_arrays", fail)
    monkeypatch.setattr("serving.server.rest.read_predict", fail)


def claim(dtype, *sizes, **values):
    proto = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


def request(model, signature, **inputs):
    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = model, signature
    for name, proto in inputs.items():
        made.inputs[name].CopyFrom(proto)
    return made


@contextlib.contextmanager
def stub_of(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def over_grpc(server, asked):
    with stub_of(server) as stub, pytest.raises(grpc.RpcError) as error:
        stub.Predict(asked, timeout=PATIENCE_S)
    return error.value.code(), error.value.details()


def over_rest(server, model, body, **headers):
    response = httpx.post(
        f"{server.url}/v1/models/{model}:predict",
        content=body,
        headers=headers,
        timeout=PATIENCE_S,
        trust_env=False,
    )
    return response.status_code, response.json().get("error")


def rows_of(values):
    return {name: list(values) for name in ("image", "caption")}


@pytest.mark.usefixtures("nothing_is_made")
@pytest.mark.parametrize(
    ("signature", "inputs"),
    [
        ("encode_image", {"image": claim(7, MANY, string_val=[b""])}),
        ("encode_caption", {"caption": claim(7, MANY, string_val=[b""])}),
        ("serve_examples", {"examples": claim(7, MANY, string_val=[b""])}),
        ("", {"image": claim(7, MANY, string_val=[b""]), "caption": claim(7, 1)}),
        ("", {"image": claim(7, 1), "caption": claim(7, MANY)}),
        (
            "score_embeddings",
            {name: claim(1, MANY, 8) for name in ("image_embedding", "caption_embedding")},
        ),
    ],
)
def test_rows_are_counted_before_anything_is_made_of_them(server, joining, signature, inputs):
    asked = request("dexmatch", signature, **inputs)
    assert asked.ByteSize() < 200
    for each, told in ((server, "1,048,576 rows"), (joining, "Task size 1048576 is larger")):
        code, message = over_grpc(each, asked)
        assert code is INVALID and told in message


@pytest.mark.usefixtures("nothing_is_made")
@pytest.mark.parametrize(
    "body",
    [
        {"inputs": rows_of([""] * 1000)},
        {"inputs": {"image": [""] * 1000, "caption": [""]}},
        {"inputs": {"image": [""], "caption": [""] * 1000}},
        {"signature_name": "encode_image", "inputs": [""] * 1000},
        {"signature_name": "encode_caption", "instances": [""] * 1000},
        {"instances": [{"image": "", "caption": ""}] * 1000},
    ],
)
def test_rows_of_json_are_counted_before_anything_is_made_of_them(server, joining, body):
    for each, told in ((server, "1,000 rows"), (joining, "Task size 1000 is larger")):
        status, message = over_rest(each, "dexmatch", json.dumps(body))
        assert status == 400 and told in message


@pytest.mark.usefixtures("nothing_is_made")
@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({f"x{n}": claim(1, MANY) for n in range(300)}, "input size does not match signature: 300"),
        ({"x": claim(7, MANY)}, "to be float32 but string"),
        ({"x": claim(1, 4, MANY)}, "has shape [4,1048576]"),
        ({"x": claim(1, *[1] * 1000)}, "more than 64 dimensions"),
        ({"x": claim(99, 1)}, "has no values"),
        ({"x": claim(20, 1)}, "has no values"),
        ({"x": claim(1, -1)}, "is not complete"),
    ],
)
def test_inputs_are_held_against_the_signature_before_they_are_filled(server, inputs, told):
    code, message = over_grpc(server, request("toy", "", **inputs))
    assert code is INVALID and told in message


def test_few_bytes_do_not_fill_many(server):
    asked = request("toy", "total", values=claim(3, 1, MANY, int_val=[1]))
    code, message = over_grpc(server, asked)
    assert code is INVALID and "does not fit 1 values" in message


def test_json_of_very_many_values_is_not_read(server, monkeypatch):
    monkeypatch.setattr(limits, "MAX_VALUES", 1000)
    for value in (b"{}", b"[]", b"1", b'"",""'):
        body = b'{"instances": [' + b",".join([value] * 2000) + b"]}"
        status, message = over_rest(server, "toy", body)
        assert status == 413 and "over 1,000 values" in message
    assert over_rest(server, "toy", b'{"instances": [1, 2]}')[0] == 200


def test_packed_bodies_count_by_what_is_in_them(server):
    # A few kilobytes each: what is unpacked, and the values in it, are over the budget.
    values = gzip.compress(b'{"instances": [' + b"{}," * 100_000 + b"{}]}")
    letters = gzip.compress(json.dumps({"instances": ["a" * (3 << 20)]}).encode())
    assert max(len(values), len(letters)) < 5000
    encoding = {"Content-Encoding": "gzip"}
    status, message = over_rest(server, "toy", values, **encoding)
    assert status == 429 and "under way at a time" in message
    assert over_rest(server, "toy", letters, **encoding)[0] == 413
    assert server.core.budget.held_bytes == 0


def test_both_apis_share_one_budget(server):
    asked = request("dexmatch", "encode_caption", caption=claim(7, 1, string_val=[bytes(MANY)]))
    parts = urlsplit(server.url)
    head = f"POST /v1/models/toy:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {2 << 20}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(2):
            made = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S)
            held.append(stack.enter_context(made))
            made.sendall(head.encode() + bytes((2 << 20) - 1))
        until(lambda: server.core.budget.held_bytes == (4 << 20) - 2)
        code, message = over_grpc(server, asked)
        assert code is EXHAUSTED and "Requests of over 4,194,304 bytes" in message
        assert over_rest(server, "toy", b'{"instances": [1]}')[0] == 429
    until(lambda: server.core.budget.held_bytes == 0)
    with stub_of(server) as stub:
        assert stub.Predict(asked, timeout=PATIENCE_S).outputs["embedding"]


def until(holds):
    deadline = threading.Event()
    for _ in range(PATIENCE_S * 50):
        if holds():
            return
        deadline.wait(0.02)
    raise AssertionError("it never came true")


def test_what_begins_as_a_picture_and_tells_no_size_is_refused(server, pictures):
    for content in (b"\x89PNG\r\n\x1a\n and no more", b"\xff\x0a JPEG XL", b"\xff\xd8\xff\xda"):
        asked = request(
            "dexmatch", "encode_image", image=claim(7, 2, string_val=[pictures["rgb.png"], content])
        )
        code, message = over_grpc(server, asked)
        assert code is INVALID and message.startswith("picture 1 does not tell its size")


def test_a_picture_that_comes_twice_in_an_example_is_found_too(server, pictures):
    def example(*contents):
        # Several features of one name, which protobuf's own objects cannot have.
        made = b""
        for content in contents:
            one = tf.train.Example()
            one.features.feature["image"].bytes_list.value.append(content)
            one.features.feature["caption"].bytes_list.value.append(b"a bird")
            made += one.SerializeToString()
        return made

    small, large = pictures["rgb.png"], tf.io.encode_png(np.zeros((101, 100, 3), np.uint8)).numpy()
    for contents in ((small, large), (large, small)):
        asked = request(
            "dexmatch", "serve_examples", examples=claim(7, 1, string_val=[example(*contents)])
        )
        code, message = over_grpc(server, asked)
        assert code is INVALID and "more than the 10,000 pixels" in message


def on_core(work, folder, name, **settings):
    async def run():
        core = ServerCore(CoreOptions(poll_s=0, **settings))
        await core.start(files.one_model(name, folder))
        try:
            with core.acquire(model_pb2.ModelSpec(name=name)) as servable:
                return await work(core, servable)
        finally:
            await core.stop()

    return asyncio.run(run())


def images(content, count):
    return {"image": np.array([content] * count, object)}


@pytest.mark.parametrize("batching", [None, BATCHING])
def test_pixels_are_limited_in_a_request_and_under_way(pushed, pictures, batching):
    content = pictures["rgb.png"]  # 1,120 pixels

    async def work(core, servable):
        with pytest.raises(ServingError, match="more than the 3,000 pixels") as error:
            await servable.run("encode_image", images(content, 3))
        assert error.value.code is INVALID
        several = [servable.run("encode_image", images(content, 2)) for _ in range(3)]
        answers = await asyncio.gather(*several, return_exceptions=True)
        assert [type(answer) for answer in answers] == [dict, dict, ServingError]
        assert answers[2].code is EXHAUSTED
        assert await servable.run("encode_image", images(content, 2))
        assert core.budget.held_pixels == core.budget.held_bytes == 0

    limit = {"max_request_pixels": 3000, "max_pixels_under_way": 5000}
    on_core(work, pushed, "dexmatch", batching=batching, **limit)


@pytest.mark.parametrize("batching", [None, BATCHING])
def test_who_gives_up_holds_a_share_until_tensorflow_is_done(toy, batching):
    async def work(core, servable):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await servable.run("linger", {"x": np.float32([1])})
        assert core.budget.held_bytes == 4
        async with asyncio.timeout(PATIENCE_S):
            while core.budget.held_bytes:
                await asyncio.sleep(0.02)

    on_core(work, toy, "toy", batching=batching)


@pytest.mark.parametrize("batching", [None, BATCHING])
def test_tensorflow_itself_gives_up_in_time(toy, batching):
    async def work(core, servable):
        asking = [servable.run("linger", {"x": np.float32([1])}) for _ in range(3)]
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert {answer.code for answer in answers} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert (await servable.run("", {"x": np.float32([1])}))["y"] == 2

    on_core(work, toy, "toy", batching=batching, run_timeout_s=0.2)


def test_what_is_computed_is_given_up_when_the_model_is_closed(toy):
    async def work(core, servable):
        asking = asyncio.ensure_future(servable.run("linger", {"x": np.float32([1])}))
        await asyncio.sleep(0)
        await asyncio.to_thread(servable.close)
        with pytest.raises(ServingError) as error:
            await asking
        assert error.value.code is grpc.StatusCode.UNAVAILABLE

    on_core(work, toy, "toy")


def test_answers_are_those_of_the_model_in_process(pushed, pictures):
    loaded = tf.saved_model.load(str(pushed / "1"))
    images = np.array([*pictures.values(), b"broken"], object)
    captions = np.array([b"a red bird"] * (len(images) - 1) + [b"?!"], object)

    def here(name, **inputs):
        answer = loaded.signatures[name](**{key: tf.constant(v) for key, v in inputs.items()})
        return {key: value.numpy() for key, value in answer.items()}

    async def work(core, servable):
        encoded = {}
        for name, inputs in (
            ("serving_default", {"image": images, "caption": captions}),
            ("encode_image", {"image": images}),
            ("encode_caption", {"caption": captions}),
            ("score_embeddings", encoded),
        ):
            answers = await servable.run(name, inputs)
            expected = here(name, **inputs)
            assert answers.keys() == expected.keys()
            for key, value in expected.items():
                assert answers[key].dtype == value.dtype
                np.testing.assert_array_equal(answers[key], value)
            if name.startswith("encode_"):
                encoded[f"{name.removeprefix('encode_')}_embedding"] = answers["embedding"]

    on_core(work, pushed, "dexmatch")


@pytest.fixture(scope="module")
def with_backbone(tmp_path_factory):
    """A version folder of a model that is as deep as those that are pushed."""
    folder = tmp_path_factory.mktemp("large")
    vocabulary = folder / "words.txt"
    vocabulary.write_text("a\nbird\n", encoding="utf-8")
    built = model.build(ModelConfig(embedding_dim=8), 32, 6, 4)
    signatures.save(signatures.ServingModel(built, str(vocabulary), 32, 6, 8), str(folder / "1"))
    return folder / "1"


RELOADS = """
import gc, sys, psutil
from pathlib import Path
from serving.server.servable import RunOptions, Servable

def reload(times):
    for _ in range(times):
        Servable("dexmatch", 1, Path(sys.argv[1]), RunOptions(threads=None)).close()
        gc.collect()
    return psutil.Process().memory_info().rss

before = reload(2)
print(reload(3) - before)
"""


def test_reloads_leave_no_memory_behind(with_backbone):
    """`tf.saved_model.load` keeps some 100 MB of each. In a process that has done nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", RELOADS, str(with_backbone)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 60 << 20


def test_a_burst_over_grpc_is_answered_in_words(server):
    """While the loop is held up, calls gather; gRPC itself would cancel some."""
    asked = request("toy", "", x=claim(1, 1, float_val=[1]))
    held, go_on = threading.Event(), threading.Event()

    def hold_up():
        held.set()
        go_on.wait(PATIENCE_S)

    with stub_of(server) as stub:
        stub.Predict(asked, timeout=PATIENCE_S)
        server.loop.call_soon_threadsafe(hold_up)
        held.wait(PATIENCE_S)
        calls = [stub.Predict.future(asked, timeout=PATIENCE_S) for _ in range(4000)]
        go_on.set()
        codes = Counter(call.code() for call in calls)
    assert codes.keys() <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}, codes


def test_slow_messages_over_grpc_make_room(server, monkeypatch):
    monkeypatch.setattr(grpc_reading, "GRACE_S", 0.1)
    asked = request("toy", "", x=claim(1, 1, float_val=[1]))
    with stub_of(server) as stub, grpc.insecure_channel(server.grpc_address) as channel:
        # Calls that are begun, and whose messages never come.
        call = channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
        ended = threading.Event()

        def nothing():
            ended.wait(PATIENCE_S)
            yield from ()

        slow = [call.future(nothing(), timeout=PATIENCE_S) for _ in range(3 * grpc_reading.MOST)]
        assert stub.Predict(asked, timeout=PATIENCE_S).outputs["y"].float_val == [2]
        ended.set()
        codes = {each.code() for each in slow}
    assert codes <= {grpc.StatusCode.DEADLINE_EXCEEDED, INVALID}
    assert server.core.budget.held_bytes == 0

"""Batching, versions and warm-up, without a network."""

import asyncio
import functools
import re
import shutil
import threading
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, prediction_log_pb2

from serving import files
from serving.server import warmup
from serving.server.batching import Batcher, Batching, Slots
from serving.server.core import CoreOptions, ServerCore
from serving.server.errors import ServingError, invalid

pytestmark = pytest.mark.slow

PATIENCE_S = 60
_TURNS = 20
"""Of the event loop, in which an answer reaches its client and the client asks again."""
TOY = model_pb2.ModelSpec(name="toy")


def spec(version=None, label=None):
    made = model_pb2.ModelSpec(name="toy")
    if version:
        made.version.value = version
    if label:
        made.version_label = label
    return made


def strings(*values):
    return np.array(values, dtype=object)


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


def states(core):
    try:
        told = core.status(TOY).model_version_status
    except ServingError:
        return {}
    return {status.version: status.State.Name(status.state) for status in told}


def on_core(work, base, options=None, config=None):
    """Runs `work(core)` on a core that serves the toy."""

    async def run():
        core = ServerCore(options or CoreOptions(poll_s=0.05))
        await core.start(config or files.one_model("toy", base))
        try:
            return await work(core)
        finally:
            await core.stop()

    return asyncio.run(run())


@pytest.fixture
def base(toy, tmp_path):
    """A copy of the toy's folder, to change."""
    shutil.copytree(toy, tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture(scope="module")
def newer(models, tmp_path_factory):
    """A toy that adds 2 instead of 1."""
    folder = tmp_path_factory.mktemp("newer") / "2"
    models.save_toy(folder, offset=2)
    return folder


async def plus(core, version=None, label=None):
    """What the toy adds."""
    with core.acquire(spec(version, label)) as servable:
        answer = await servable.run("", {"x": np.float32([0])})
    return int(answer["y"][0])


class Calls:
    """A model for a batcher: doubles `x`, fails on 13, and keeps what it was called with."""

    def __init__(self):
        self.sizes = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, signature, inputs):
        self.go.wait(PATIENCE_S)
        self.sizes.append(inputs["x"].shape)
        if 13 in inputs["x"]:
            raise invalid("thirteen")
        return {"y": inputs["x"] * 2}


def batched(work, calls=None, pool=None, **settings):
    """Runs `work(batcher, calls)`."""
    calls = calls or Calls()
    batching = Batching(**{
        "max_batch_size": 8, "timeout_s": 0.05, "max_enqueued_batches": 2, "threads": 1, **settings
    })  # fmt: skip

    async def run():
        with pool or ThreadPoolExecutor(1) as threads:
            batcher = Batcher(batching, calls, threads, Slots(batching.threads))
            return await work(batcher)

    return asyncio.run(run()), calls


def x(*values):
    return {"x": np.float32(values)}


class ByHand(Executor):
    """Threads whose work ends when a test says so."""

    def __init__(self):
        self._begun = deque()

    def submit(self, function, /, *arguments):
        answer = Future()
        self._begun.append((answer, functools.partial(function, *arguments)))
        return answer

    @property
    def has_begun(self):
        """Whether there is something to end."""
        return bool(self._begun)

    async def end_one(self):
        """Ends what began first, once it has begun, and lets those who waited for it go on."""
        await until(lambda: self.has_begun)
        answer, work = self._begun.popleft()
        answer.set_result(work())
        for _ in range(_TURNS):
            await asyncio.sleep(0)


def test_requests_are_joined_and_answers_split():
    async def work(batcher):
        return await asyncio.gather(*(batcher.run("s", x(n, n + 1)) for n in range(5)))

    answers, calls = batched(work)
    assert [answer["y"].tolist() for answer in answers] == [[n, n + 2] for n in range(0, 10, 2)]
    # Nobody else was there when the first one came.
    assert calls.sizes == [(2,), (8,)]


def test_a_lone_request_waits_for_nobody():
    threads = ByHand()

    async def work(batcher):
        for n in range(3):
            asking = asyncio.ensure_future(batcher.run("s", x(n)))
            await threads.end_one()
            assert asking.done()

    _, calls = batched(work, pool=threads, timeout_s=1e6)
    assert calls.sizes == [(1,)] * 3


@pytest.mark.parametrize(("count", "sizes"), [(1, {8}), (2, {4})])
def test_clients_that_ask_again_are_joined_in_equal_batches(count, sizes):
    threads = ByHand()

    async def work(batcher):
        async def client():
            while True:
                await batcher.run("s", x(1))

        clients = [asyncio.ensure_future(client()) for _ in range(8)]
        for _ in range(12):
            await threads.end_one()
        for client in clients:
            client.cancel()

    _, calls = batched(work, pool=threads, timeout_s=1e6, threads=count)
    assert {size for (size,) in calls.sizes[-6:]} == sizes


def test_clients_that_stay_away_are_waited_for_until_the_timeout():
    threads = ByHand()

    async def work(batcher):
        # Three are there at a time, so the second batch would rather be one of three.
        three = [asyncio.ensure_future(batcher.run("s", x(n))) for n in range(3)]
        await threads.end_one()
        await threads.end_one()
        await asyncio.gather(*three)

    _, calls = batched(work, pool=threads)
    assert calls.sizes == [(1,), (2,)]


def test_requests_that_waited_for_a_thread_wait_for_those_who_were_just_answered():
    threads = ByHand()

    async def work(batcher):
        async def twice():
            await batcher.run("s", x(0))
            await asyncio.sleep(0.05)
            await batcher.run("s", x(0))

        three = [asyncio.ensure_future(twice())]
        await until(lambda: threads.has_begun)
        three += [asyncio.ensure_future(batcher.run("s", x(n))) for n in (1, 2)]
        await asyncio.sleep(1.1)  # Longer than the timeout, while the only thread is busy.
        await threads.end_one()
        await threads.end_one()
        assert all(one.done() for one in three)

    _, calls = batched(work, pool=threads, timeout_s=1)
    assert calls.sizes == [(1,), (3,)]


def test_a_long_queue_is_worked_off_though_nobody_asks_any_more():
    async def work(batcher):
        full = np.zeros(8, np.float32)
        asked = (batcher.run("s", {"x": full}) for _ in range(40))
        return await asyncio.wait_for(asyncio.gather(*asked), PATIENCE_S)

    answers, calls = batched(work, max_enqueued_batches=40)
    assert len(answers) == len(calls.sizes) == 40


def test_a_batch_is_padded_to_the_next_allowed_size():
    async def work(batcher):
        return await asyncio.gather(*(batcher.run("s", x(n)) for n in range(4)))

    answers, calls = batched(work, allowed_sizes=(2, 4, 8))
    assert [answer["y"].tolist() for answer in answers] == [[0], [2], [4], [6]]
    assert calls.sizes == [(2,), (4,)]


def test_signatures_and_inner_shapes_are_not_mixed():
    async def work(batcher):
        wide = {"x": np.zeros((1, 3), np.float32)}
        return await asyncio.gather(
            batcher.run("s", x(1)), batcher.run("t", x(2)), batcher.run("s", wide)
        )

    answers, calls = batched(work)
    assert [answer["y"].shape for answer in answers] == [(1,), (1,), (1, 3)]
    assert sorted(calls.sizes) == [(1,), (1,), (1, 3)]


def test_inner_shapes_are_padded_where_that_is_asked_for():
    async def work(batcher):
        first, narrow, wide = np.float32([[7]]), np.float32([[5]]), np.float32([[1, 2, 3]])
        return await asyncio.gather(
            *(batcher.run("s", {"x": values}) for values in (first, narrow, wide))
        )

    answers, calls = batched(work, pad_inputs=True)
    assert [answer["y"].tolist() for answer in answers] == [[[14]], [[10, 10, 10]], [[2, 4, 6]]]
    assert calls.sizes == [(1, 1), (2, 3)]


def test_a_bad_request_does_not_fail_its_neighbours():
    async def work(batcher):
        return await asyncio.gather(
            *(batcher.run("s", x(n)) for n in (1, 13, 2)), return_exceptions=True
        )

    (first, bad, last), _ = batched(work)
    assert (first["y"], last["y"]) == (2, 4)
    assert bad.code is grpc.StatusCode.INVALID_ARGUMENT


def test_what_cannot_be_joined_is_told_before_it_is_queued():
    async def work(batcher):
        told = []
        for inputs in (
            {"x": np.float32(1)},
            {"x": np.float32([1]), "z": np.float32([1, 2])},
            {"x": np.zeros(9, np.float32)},
        ):
            with pytest.raises(ServingError) as error:
                await batcher.run("s", inputs)
            assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
            told.append(error.value.message)
        return told

    told, calls = batched(work)
    assert told == [
        "Batching Run() input tensors must have at least one dimension",
        "Batching Run() input tensors must have equal 0th-dimension size",
        "Task size 9 is larger than maximum input batch size 8",
    ]
    assert not calls.sizes


def test_no_rows_are_an_answer():
    async def work(batcher):
        return await batcher.run("s", x())

    answer, _ = batched(work, allowed_sizes=(4, 8))
    assert answer["y"].shape == (0,)


def test_a_full_queue_is_unavailable_and_empties():
    calls = Calls()
    calls.go.clear()

    async def work(batcher):
        full = np.zeros(8, np.float32)
        # One runs and two wait.
        waiting = [asyncio.ensure_future(batcher.run("s", {"x": full})) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ServingError) as error:
            await batcher.run("s", x(1))
        assert error.value.code is grpc.StatusCode.UNAVAILABLE
        assert "is full" in error.value.message
        calls.go.set()
        await asyncio.gather(*waiting)
        assert (await batcher.run("s", x(1)))["y"] == 2

    batched(work, calls)


def test_who_went_away_is_not_computed_for():
    calls = Calls()
    calls.go.clear()

    async def work(batcher):
        first = asyncio.ensure_future(batcher.run("s", {"x": np.zeros(8, np.float32)}))
        gone, stays = (asyncio.ensure_future(batcher.run("s", x(n))) for n in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        calls.go.set()
        await asyncio.gather(first, stays)

    batched(work, calls)
    assert calls.sizes == [(8,), (1,)]


def test_queues_do_not_stay_for_every_shape_ever_seen():
    async def work(batcher):
        for width in range(1, 6):
            await batcher.run("s", {"x": np.zeros((1, width), np.float32)})
        await asyncio.sleep(0.01)
        return len(batcher._queues)

    left, _ = batched(work, timeout_s=0)
    assert left == 0


@pytest.mark.parametrize("batching", [None, Batching(8, 0.01, 10, 2, (1, 2, 4, 8))])
def test_the_same_answer_alone_and_in_any_batch(pushed, pictures, batching):
    images = [*pictures.values(), b"broken"]
    texts = [f"a {('red', 'blue')[n % 2]} bird".encode() for n in range(len(images))]

    async def work(core):
        named = model_pb2.ModelSpec(name="dexmatch")
        with core.acquire(named) as servable:

            async def score(begin, end):
                inputs = {
                    "image": strings(*images[begin:end]),
                    "caption": strings(*texts[begin:end]),
                }
                return (await servable.run("", inputs))["probability"]

            alone = [await score(n, n + 1) for n in range(len(images))]
            together = await asyncio.gather(*(score(n, n + 1) for n in range(len(images))))
            pairs = await asyncio.gather(*(score(n, n + 2) for n in range(0, len(images), 2)))
        return [np.concatenate(answers) for answers in (alone, together, pairs)]

    alone, together, pairs = on_core(
        work, pushed, CoreOptions(batching=batching), files.one_model("dexmatch", pushed)
    )
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(pairs, alone, atol=1e-5)
    assert alone[-1] == 0 and (alone[:-1] > 0).all()


@pytest.mark.parametrize("name", ["rgb.png", "rgb.jpg", "rgb.bmp", "rgb.webp", "first_frame.gif"])
def test_too_large_a_picture_is_refused_before_it_is_decoded(pushed, pictures, name):
    small, large = pictures["thin.png"], pictures[name]  # 500 and 1,120 pixels.
    example = tf.train.Example()
    example.features.feature["image"].bytes_list.value.append(large)

    async def work(core):
        with core.acquire(model_pb2.ModelSpec(name="dexmatch")) as servable:
            await servable.run("encode_image", {"image": strings(small)})
            for name, inputs in (
                ("encode_image", {"image": strings(small, large)}),
                ("serve_examples", {"examples": strings(b"", example.SerializeToString())}),
            ):
                with pytest.raises(ServingError, match="more than the 1,000 pixels") as error:
                    await servable.run(name, inputs)
                assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT

    on_core(work, pushed, CoreOptions(max_pixels=1000), files.one_model("dexmatch", pushed))


def test_a_new_version_replaces_the_old_and_requests_under_way_finish(base, newer):
    async def work(core):
        assert await plus(core) == 1
        with core.acquire(TOY) as old:
            shutil.copytree(newer, base / "x2")
            (base / "x2").rename(base / "2")
            await until(lambda: states(core).get(2) == "AVAILABLE")
            assert await plus(core) == 2
            await until(lambda: states(core)[1] == "UNLOADING")
            assert (await old.run("", {"x": np.float32([0])}))["y"] == 1
            with pytest.raises(ServingError) as error, core.acquire(spec(1)):
                pass
            assert error.value.message == "Servable not found for request: Specific(toy, 1)"
        await until(lambda: states(core)[1] == "END")

    on_core(work, base)


def test_the_version_before_is_served_again_when_the_newest_is_renamed_away(base, newer):
    shutil.copytree(newer, base / "2")

    async def work(core):
        assert await plus(core) == 2
        (base / "2").rename(base / "rolled-back")
        await until(lambda: states(core).get(1) == "AVAILABLE" and states(core)[2] == "END")
        assert await plus(core) == 1
        (base / "rolled-back").rename(base / "2")
        await until(lambda: states(core)[2] == "AVAILABLE")
        assert await plus(core) == 2

    on_core(work, base)


def test_the_last_version_is_unloaded_when_its_folder_goes_and_its_state_stays(base):
    async def work(core):
        (base / "1").rename(base / "gone")
        await until(lambda: states(core) == {1: "END"})
        for asked, told in ((TOY, "Latest(toy)"), (spec(1), "Specific(toy, 1)")):
            with pytest.raises(ServingError, match=re.escape(told)) as error, core.acquire(asked):
                pass
            assert error.value.code is grpc.StatusCode.NOT_FOUND
        (base / "gone").rename(base / "1")
        await until(lambda: states(core) == {1: "AVAILABLE"})
        assert await plus(core) == 1

    on_core(work, base)


def test_a_base_path_that_is_gone_changes_nothing(base):
    async def work(core):
        model = core._models["toy"]
        base.rename(base.with_name("gone"))
        await model.refresh()
        await model.refresh()
        assert states(core) == {1: "AVAILABLE"}
        assert await plus(core) == 1

    on_core(work, base, CoreOptions(poll_s=0))


def test_versions_are_ascii_numbers_of_63_bits(base):
    newest = 2**63 - 1
    shutil.copytree(base / "1", base / str(newest))
    for name in (str(newest + 1), "\uff19" * 19, "8" * 200):
        (base / name).mkdir()

    async def work(core):
        assert states(core) == {newest: "AVAILABLE"}
        assert await plus(core, newest) == 1

    on_core(work, base)


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_serving(base, newer):
    options = CoreOptions(poll_s=0.05, max_load_retries=2, load_retry_interval_s=0.05)

    async def work(core):
        (base / "2").mkdir()
        await until(lambda: states(core).get(2) == "END")
        status = core.status(spec(2)).model_version_status[0].status
        assert status.error_code and "saved_model" in status.error_message.lower()
        assert await plus(core) == 1
        shutil.rmtree(base / "2")
        shutil.copytree(newer, base / ".copy")
        (base / ".copy").rename(base / "2")
        await until(lambda: states(core)[2] == "AVAILABLE")
        assert await plus(core) == 2

    on_core(work, base, options)


def test_a_failed_load_is_retried(base, newer):
    options = CoreOptions(poll_s=0.05, max_load_retries=1000, load_retry_interval_s=0.05)

    async def work(core):
        (base / "2").mkdir()
        await until(lambda: core.status(spec(1)) and states(core).get(2) == "LOADING")
        await asyncio.sleep(0.2)
        shutil.copytree(newer, base / "2", dirs_exist_ok=True)
        await until(lambda: states(core)[2] == "AVAILABLE")
        assert await plus(core) == 2

    on_core(work, base, options)


def policed(base, policy, labels=None):
    config = files.one_model("toy", base)
    (entry,) = config.model_config_list.config
    getattr(entry.model_version_policy, policy[0]).SetInParent()
    if policy[1:]:
        entry.model_version_policy.specific.versions.extend(policy[1:])
    entry.version_labels.update(labels or {})
    return config


@pytest.mark.parametrize(
    ("policy", "served"), [(("latest",), {2}), (("all",), {1, 2}), (("specific", 1, 7), {1})]
)
def test_the_policy_chooses(base, newer, policy, served):
    shutil.copytree(newer, base / "2")
    (base / "notes").mkdir()
    (base / "3").write_text("no folder")

    async def work(core):
        assert {v for v, state in states(core).items() if state == "AVAILABLE"} == served
        assert await plus(core) == max(served)

    on_core(work, base, config=policed(base, policy))


def test_labels_point_at_loaded_versions_only(base, newer):
    shutil.copytree(newer, base / "2")

    async def work(core):
        assert await plus(core, label="stable") == 1
        assert await plus(core, label="canary") == 2
        with pytest.raises(ServingError) as error:
            await plus(core, label="other")
        assert error.value.message == "Unrecognized servable version label: other"
        assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
        # It may not be moved to a version that is not loaded, whatever new ones may.
        with pytest.raises(ServingError, match="not currently available for inference") as error:
            await core.reload(policed(base, ("all",), {"stable": 9}))
        assert error.value.code is grpc.StatusCode.FAILED_PRECONDITION
        assert await plus(core, label="stable") == 1
        await core.reload(policed(base, ("all",), {"stable": 2, "new": 9}))
        assert await plus(core, label="stable") == 2
        with pytest.raises(ServingError, match=r"Specific\(toy, 9\)") as error:
            await plus(core, label="new")
        assert error.value.code is grpc.StatusCode.NOT_FOUND
        with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
            await plus(core, label="canary")

    config = policed(base, ("all",), {"stable": 1, "canary": 2})
    told = "version [12] of model toy, which is not currently available for inference"
    with pytest.raises(ServingError, match=told):
        on_core(work, base, config=config)
    on_core(work, base, CoreOptions(poll_s=0, labels_unavailable=True), config)


@pytest.mark.parametrize("field", ["version_labels", "empty", "bad", "name", "model_platform"])
@pytest.mark.parametrize("stays", [True, False])
def test_a_reload_that_fails_leaves_everything_as_it_is(base, newer, tmp_path, field, stays):
    shutil.copytree(newer, base / "2")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad" / "1").mkdir(parents=True)
    # Fewer versions of the toy, or none, and another model that cannot be served.
    config = policed(base, ("specific", 2))
    if not stays:
        config.model_config_list.config.pop()
    entry = config.model_config_list.config.add()
    entry.CopyFrom(files.one_model("other", base).model_config_list.config[0])
    told = {
        "version_labels": "not currently available",
        "empty": "other did not become available: no version folder",
        "bad": "other did not become available: .*saved_model",
        "name": "a model has no name",
        "model_platform": "Model other requests unsupported platform x",
    }[field]
    match field:
        case "version_labels":
            entry.version_labels["new"] = 9
        case "empty" | "bad":
            entry.base_path = str(tmp_path / field)
        case _:
            setattr(entry, field, "" if field == "name" else "x")

    async def work(core):
        await core.reload(policed(base, ("all",), {"old": 1}))
        with pytest.raises(ServingError, match=told):
            await core.reload(config)
        await asyncio.gather(*core._closing)
        assert states(core) == {1: "AVAILABLE", 2: "AVAILABLE"}
        assert core.model_names() == ["toy"]
        assert await plus(core, label="old") == 1
        assert await plus(core) == 2

    on_core(work, base, CoreOptions(poll_s=0, max_load_retries=0), policed(base, ("all",)))


def test_a_model_that_is_no_longer_configured_is_unloaded(base):
    async def work(core):
        other = files.one_model("other", base)
        await core.reload(other)
        assert core.model_names() == ["other"]
        with pytest.raises(ServingError) as error, core.acquire(TOY):
            pass
        assert error.value.message == "Servable not found for request: Latest(toy)"
        await until(lambda: states(core) == {1: "END"})
        # And loaded again when it comes back, though it may not have gone yet.
        for _ in range(2):
            await core.reload(files.one_model("toy", base))
            assert await plus(core) == 1
            await core.reload(other)

    on_core(work, base)


def test_more_requests_than_the_server_takes_are_unavailable(base):
    async def work(core):
        with core.acquire(TOY), pytest.raises(ServingError) as error, core.acquire(TOY):
            pass
        assert error.value.code is grpc.StatusCode.UNAVAILABLE
        assert await plus(core) == 1

    on_core(work, base, CoreOptions(max_requests=1))


def write_warmup(version, *texts):
    file = warmup.requests_file(version)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for text in texts:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = "parse"
            request.inputs["text"].CopyFrom(tf.make_tensor_proto([text]))
            writer.write(log.SerializeToString())


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["1"] * 3, None),
        (["1", "word"], "could not correctly convert string: word"),
        (["1"] * 1001, "exceeds the maximum"),
    ],
)
def test_a_version_is_warmed_before_it_is_served(base, texts, told):
    write_warmup(base / "1", *texts)
    options = CoreOptions(poll_s=0, max_load_retries=0)

    async def work(core):
        return await plus(core)

    if told:
        with pytest.raises(ServingError, match=told):
            on_core(work, base, options)
        options = CoreOptions(poll_s=0, warm_up=False)
    assert on_core(work, base, options) == 1


def test_warm_up_data_that_is_no_tfrecord_fails_the_load(base):
    write_warmup(base / "1")
    warmup.requests_file(base / "1").write_bytes(b"nonsense" * 10)

    async def work(core):
        return await plus(core)

    with pytest.raises(ServingError, match="verify your warmup data"):
        on_core(work, base, CoreOptions(poll_s=0, max_load_retries=0))

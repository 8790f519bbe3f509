"""The log of sampled requests: what is in it, and that it stands in nobody's way."""

import base64
import contextlib
import os
import resource
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc
from typer.testing import CliRunner

from core.errors import DexmatchError
from pipeline.cli import app
from serving import engines, files
from serving.server import request_log
from serving.server.request_log import KEPT_FILES, RequestLog
from serving.server.servable import RunOptions, Servable

pytestmark = pytest.mark.slow

MONITORING = Path(__file__).parents[2] / "serving_model" / files.MONITORING


def records(path):
    return [
        prediction_log_pb2.PredictionLog.FromString(record)
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]


def options(pushed, path, sampling):
    return engines.Options(
        *("dexmatch", pushed),
        grpc_port=0,
        rest_port=0,
        monitoring_config=MONITORING,
        request_log=path,
        request_log_sampling=sampling,
    )


@pytest.fixture(scope="module")
def logged(pushed, pictures, tmp_path_factory):
    """The log of three requests, of which one fails, what was answered, and the metrics."""
    path = tmp_path_factory.mktemp("log") / "requests.tfrecord"
    with engines.running(engines.choose("embedded"), options(pushed, path, 1.0)) as server:
        url = f"{server.rest_url}/v1/models/dexmatch:predict"
        image = {"b64": base64.b64encode(pictures["rgb.png"]).decode()}
        body = {"instances": [{"image": image, "caption": "a red bird"}]}
        (score,) = httpx.post(url, json=body, trust_env=False).json()["predictions"]
        assert httpx.post(url, json={"instances": [1]}, trust_env=False).status_code == 400
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "dexmatch", "encode_caption"
        request.inputs["caption"].CopyFrom(tf.make_tensor_proto(["a bird", "a fish"]))
        with grpc.insecure_channel(server.grpc_address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            response = stub.Predict(request, timeout=60)
        page = f"{server.rest_url}/monitoring/prometheus/metrics"
        counted = ""
        for _ in range(600):
            counted = httpx.get(page, trust_env=False).text
            if 'status_code="OK"} 2.0' in counted:
                break
    return path, score, response, counted


def test_answered_requests_of_both_apis_are_in_it(logged, pictures):
    path, score, response, _ = logged
    first, second = (log.predict_log for log in records(path))
    assert first.request.inputs["image"].string_val[:] == [pictures["rgb.png"]]
    assert first.request.inputs["caption"].string_val[:] == [b"a red bird"]
    assert first.response.outputs["probability"].float_val[0] == pytest.approx(score)
    assert second.request.inputs["caption"].string_val[:] == [b"a bird", b"a fish"]
    assert second.response.outputs["embedding"] == response.outputs["embedding"]


def test_each_record_names_model_version_signature_and_rate(logged):
    specs = [log.log_metadata.model_spec for log in records(logged[0])]
    assert [(each.name, each.version.value, each.signature_name) for each in specs] == [
        ("dexmatch", 1, "serving_default"),
        ("dexmatch", 1, "encode_caption"),
    ]
    assert records(logged[0])[0].log_metadata.sampling_config.sampling_rate == 1


def test_it_is_counted_as_the_real_server_counts(logged):
    name = ":tensorflow:serving:request_log_count"
    assert f"# TYPE {name} counter" in logged[3]
    assert f'{name}{{model_name="dexmatch",status_code="OK"}} 2.0' in logged[3]


def test_only_its_owner_may_read_it(logged):
    assert stat.S_IMODE(logged[0].stat().st_mode) == 0o600


def test_a_version_is_warmed_up_by_its_records(logged, toy, pushed, tmp_path):
    """They are what TensorFlow Serving takes as warm-up requests."""
    from serving.server import warmup

    version = tmp_path / "1"
    warmup.requests_file(version).parent.mkdir(parents=True)
    warmup.requests_file(version).write_bytes(logged[0].read_bytes())
    with ThreadPoolExecutor(1) as threads:
        servable = Servable("dexmatch", 1, pushed / "1", RunOptions(threads))
        assert warmup.warm_up(servable, version) == 2


def test_a_place_that_cannot_be_written_is_told_at_the_start(pushed, tmp_path):
    path = tmp_path / "none" / "requests.tfrecord"
    with (
        pytest.raises(DexmatchError, match="cannot be written"),
        engines.running(engines.choose("embedded"), options(pushed, path, 1.0)),
    ):
        pass


def test_other_engines_say_that_they_write_none(pushed, tmp_path, monkeypatch):
    binary = tmp_path / "tensorflow_model_server"
    binary.write_text("#!/bin/sh\n", encoding="utf-8")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    arguments = ["serve", "--model", str(pushed), "--log-requests", str(tmp_path / "log")]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, DexmatchError)
    assert "--engine embedded" in str(done.exception)


@pytest.fixture(scope="module")
def servable(toy):
    with ThreadPoolExecutor(1) as threads:
        yield Servable("toy", 1, toy / "1", RunOptions(threads))


class Offers:
    """A log, what it is offered, and what it tells the metrics."""

    def __init__(self, servable, path, rate=1.0, **options):
        self._servable = servable
        self._log = RequestLog(path, rate, **options)
        self.told = []
        self._settled = threading.Semaphore(0)
        self._log.start(self._observe)

    def _observe(self, model, code):
        self.told.append((model, code))
        self._settled.release()

    def offer(self, value=0.0, count=1):
        array = np.full(count, value, np.float32)
        signature = self._servable.signature("")
        self._log.offer(self._servable, signature, {"x": array}, {"y": array})

    def settle(self, value=0.0, count=1):
        """Offers one, and returns once it is written or dropped: how it fared."""
        self.offer(value, count)
        assert self._settled.acquire(timeout=60)
        return self.told[-1][1].name

    def close(self):
        self._log.close()


def test_about_the_share_that_was_asked_for_is_logged(servable, tmp_path):
    offers = Offers(servable, tmp_path / "log", rate=0.25)
    for _ in range(800):
        offers.offer()
    offers.close()
    # Six standard deviations either way.
    assert 125 < len(records(tmp_path / "log")) < 275


def test_nothing_is_logged_at_rate_0(servable, tmp_path):
    offers = Offers(servable, tmp_path / "log", rate=0.0)
    for _ in range(100):
        offers.offer()
    offers.close()
    assert records(tmp_path / "log") == []


def test_files_are_bounded_in_size_and_number(servable, tmp_path):
    path = tmp_path / "log"
    offers = Offers(servable, path, max_bytes=2000)
    for value in range(100):
        offers.offer(value, count=50)
    offers.close()
    kept = [path, *(path.with_name(f"log.{number + 1}") for number in range(KEPT_FILES))]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    # With room for the frames of the records.
    assert all(each.stat().st_size < 2500 for each in kept)
    values = [
        log.predict_log.request.inputs["x"].float_val[0]
        for each in reversed(kept)
        for log in records(each)
    ]
    assert values == list(range(100 - len(values), 100))


def test_what_was_logged_before_a_restart_is_kept(servable, tmp_path):
    for value in (1, 2):
        offers = Offers(servable, tmp_path / "log")
        offers.offer(value)
        offers.close()
    firsts = [
        records(tmp_path / name)[0].predict_log.request.inputs["x"].float_val[0]
        for name in ("log", "log.1")
    ]
    assert firsts == [2, 1]


def test_what_the_writer_cannot_keep_up_with_is_dropped_and_counted(
    servable, tmp_path, monkeypatch
):
    monkeypatch.setattr(request_log, "_MAX_WAITING_BYTES", 100)
    offers = Offers(servable, tmp_path / "log")
    offers.offer(count=1000)
    offers.offer(count=2)
    offers.close()
    assert sorted(code.name for _, code in offers.told) == ["OK", "RESOURCE_EXHAUSTED"]
    assert len(records(tmp_path / "log")) == 1


def test_a_full_disk_is_counted_and_told_once(servable, caplog):
    offers = Offers(servable, Path("/dev/full"))
    for _ in range(3):
        offers.offer()
    offers.close()
    assert [code.name for _, code in offers.told] == ["INTERNAL"] * 3
    assert [each.levelname for each in caplog.records] == ["ERROR"]


@contextlib.contextmanager
def no_room_beyond(size):
    """Files may not grow beyond that, as on a full disk; what fits is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def values_in(path):
    return [log.predict_log.request.inputs["x"].float_val[0] for log in records(path)]


def test_what_is_logged_after_a_full_disk_is_readable(servable, tmp_path, caplog):
    path = tmp_path / "log"
    offers = Offers(servable, path)
    assert [offers.settle(value) for value in (1, 2)] == ["OK", "OK"]
    with no_room_beyond(path.stat().st_size + 50):
        assert [offers.settle(value, count=100) for value in (3, 4, 5)] == ["INTERNAL"] * 3
    assert [offers.settle(value) for value in (6, 7)] == ["OK", "OK"]
    offers.close()
    assert values_in(path) == [1, 2, 6, 7]
    assert [each.levelname for each in caplog.records] == ["ERROR", "WARNING"]
    assert "3 were not" in caplog.messages[1]


@pytest.mark.parametrize("lost", [1, 5, 40])
def test_half_a_record_of_a_killed_server_is_cut_off_at_the_next_start(servable, tmp_path, lost):
    path = tmp_path / "log"
    offers = Offers(servable, path)
    for value in (1, 2, 3):
        offers.settle(value)
    offers.close()
    whole = path.stat().st_size
    os.truncate(path, whole - lost)
    offers = Offers(servable, path)
    offers.settle(4)
    offers.close()
    assert (values_in(path.with_name("log.1")), values_in(path)) == ([1, 2], [4])


@pytest.mark.parametrize("content", [b"short", b"no log of requests, and nobody's to cut" * 9])
def test_a_file_that_is_no_log_is_kept_as_it_is(tmp_path, content):
    (tmp_path / "log").write_bytes(content)
    RequestLog(tmp_path / "log", 1.0).close()
    assert (tmp_path / "log.1").read_bytes() == content
    assert (tmp_path / "log").read_bytes() == b""

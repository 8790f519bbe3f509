"""The embedded engine as a process: versions that change under load, and its end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import psutil
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from core.errors import DexmatchError
from serving import engines, files
from serving.client import open_model
from serving.engines.embedded import Embedded

pytestmark = pytest.mark.slow

PATIENCE_S = 60


def ask(stub, value, model="toy", signature=""):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([value], tf.float32))
    response = stub.Predict(request, timeout=PATIENCE_S)
    return response.model_spec.version.value, response.outputs["y"].float_val[0] - value


def until(holds, state=lambda: ""):
    """Waits until it is true; the state is told where that is in vain."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, state()
        time.sleep(0.02)


class Load:
    """Clients that ask without a break, over both APIs, and keep what they got."""

    def __init__(self, server, grpc_clients=3, rest_clients=2):
        self._server = server
        self._ended = threading.Event()
        self.answers, self.failures = [], []
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target, count in ((self._grpc, grpc_clients), (self._rest, rest_clients))
            for _ in range(count)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _keep(self, question):
        while not self._ended.is_set():
            try:
                self.answers.append(question())
            except Exception as error:
                self.failures.append(error)
            time.sleep(0.002)

    def _grpc(self):
        with grpc.insecure_channel(self._server.grpc_address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            self._keep(lambda: ask(stub, 5.0)[1])

    def _rest(self):
        with httpx.Client(timeout=PATIENCE_S, trust_env=False) as client:

            def question():
                response = client.post(
                    f"{self._server.rest_url}/v1/models/toy:predict", json={"instances": [5.0]}
                )
                response.raise_for_status()
                return response.json()["predictions"][0] - 5.0

            self._keep(question)

    def until(self, answer):
        """Waits until so many of the newest answers are that."""
        until(
            lambda: self.answers[-20:] == [answer] * 20,
            lambda: f"answers end {self.answers[-20:]}, failures {self.failures[:3]}",
        )


def options(base, **settings):
    return engines.Options(
        "toy", base, grpc_port=0, rest_port=0, **{"poll_seconds": 0.1, **settings}
    )


@pytest.mark.parametrize("batching", [False, True])
def test_no_request_fails_while_versions_change(models, toy, tmp_path, batching):
    base = tmp_path / "toy"
    shutil.copytree(toy, base)
    config = tmp_path / "batching.config"
    config.write_text("max_batch_size { value: 4 } allowed_batch_sizes: [1, 4]")
    for version in (2, 3):
        models.save_toy(tmp_path / "made" / str(version), offset=version)
    asked = options(base, batching_config=config if batching else None)
    with engines.running(Embedded(), asked) as server, Load(server) as load:
        load.until(1.0)
        for version in (2, 3):
            (tmp_path / "made" / str(version)).rename(base / str(version))
            load.until(float(version))
        # Rolled back, and forth again.
        (base / "3").rename(base / "withdrawn-3")
        load.until(2.0)
        (base / "withdrawn-3").rename(base / "3")
        load.until(3.0)
        (base / "4").mkdir()  # Not to be loaded.
        time.sleep(0.5)
        load.until(3.0)
    assert not load.failures
    assert set(load.answers) == {1.0, 2.0, 3.0}
    assert server.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(toy, tmp_path, number):
    # Requests that take seconds: one batch is computed when the signal comes, the others wait.
    config = tmp_path / "batching.config"
    config.write_text("max_batch_size { value: 64 } num_batch_threads { value: 1 }")
    body = {"signature_name": "linger", "instances": [5.0]}
    with engines.running(Embedded(), options(toy, batching_config=config)) as server:
        answers, failures = [], []

        def over_grpc():
            with grpc.insecure_channel(server.grpc_address) as channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                keep(lambda: ask(stub, 5.0, signature="linger")[1])

        def over_rest():
            url = f"{server.rest_url}/v1/models/toy:predict"
            keep(
                lambda: (
                    httpx.post(url, json=body, timeout=PATIENCE_S).json()["predictions"][0] - 5.0
                )
            )

        def keep(question):
            try:
                answers.append(question())
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=one) for one in (over_grpc, over_rest) * 3]
        for thread in threads:
            thread.start()
        # More than requests need to reach the queue, and less than the first one takes.
        time.sleep(2)
        assert not answers
        os.kill(server.pid, number)
        for thread in threads:
            thread.join(PATIENCE_S)
        assert server.process.wait(PATIENCE_S) == 0
    assert not failures
    assert answers == [1.0] * 6


def test_what_tensorflow_computes_does_not_outlive_the_draining(models, tmp_path, monkeypatch):
    class InHaste(Embedded):
        def command(self, options):
            return [*super().command(options), "--drain_seconds=1", "--rest_api_timeout_in_ms=0"]

    monkeypatch.setattr(models, "LINGER_S", 3600.0)
    models.save_toy(tmp_path / "toy" / "1")
    with (
        engines.running(InHaste(), options(tmp_path / "toy")) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "toy", "linger"
        request.inputs["x"].CopyFrom(tf.make_tensor_proto([5.0], tf.float32))
        asking = stub.Predict.future(request, timeout=10 * PATIENCE_S)
        # It is under way once another is answered after it.
        assert ask(stub, 5.0)[1] == 1.0
        os.kill(server.pid, signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        assert asking.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_the_models_file_is_read_again_and_grpc_listens_at_a_path(toy, tmp_path):
    listening, config = tmp_path / "grpc.socket", tmp_path / "models.config"

    class Rereading(Embedded):
        def command(self, options):
            return [
                *super().command(options),
                f"--grpc_socket_path={listening}",
                "--model_config_file_poll_wait_seconds=0.1",
            ]

    models = files.one_model("toy", toy)
    files.write(models, config)
    asked = engines.Options("toy", models_config=config, grpc_port=0, rest_port=0)
    with (
        engines.running(Rereading(), asked) as server,
        grpc.insecure_channel(f"unix:{listening}") as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def twin_answers():
            try:
                return ask(stub, 5.0, "twin")[1] == 1.0
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                return False

        assert ask(stub, 5.0)[1] == 1.0
        assert not twin_answers()
        models.MergeFrom(files.one_model("twin", toy))
        files.write(models, config)
        until(twin_answers)
        config.write_text("nonsense")
        until(lambda: "the models stay as they are" in server.last_lines())
        assert twin_answers()
        # A file that asks for too much changes nothing, and is tried until it can be had.
        other = files.one_model("other", tmp_path / "other")
        files.write(other, config)
        until(lambda: "other did not become available" in server.last_lines(), server.last_lines)
        assert twin_answers()
        shutil.copytree(toy, tmp_path / "other")
        until(lambda: not twin_answers())
        assert ask(stub, 5.0, "other")[1] == 1.0


class Changed(Embedded):
    """With flags of its own, the last of which count."""

    def __init__(self, *flags):
        self._flags = flags

    def command(self, options):
        return [*super().command(options), *self._flags]


def test_port_0_turns_rest_off(toy):
    with (
        engines.started(Changed("--rest_api_port=0"), options(toy)) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        grpc.channel_ready_future(channel).result(PATIENCE_S)
        assert ask(prediction_service_pb2_grpc.PredictionServiceStub(channel), 5.0)[1] == 1.0
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.rest_url, trust_env=False)
    assert server.process.returncode == 0


def test_port_0_turns_grpc_off_but_for_its_socket(toy, tmp_path):
    socket_flag = f"--grpc_socket_path={tmp_path}/grpc"
    with (
        engines.started(Changed("--port=0", socket_flag), options(toy)) as server,
        grpc.insecure_channel(f"unix:{tmp_path}/grpc") as channel,
    ):
        grpc.channel_ready_future(channel).result(PATIENCE_S)
        assert ask(prediction_service_pb2_grpc.PredictionServiceStub(channel), 5.0)[1] == 1.0
        host, port = server.grpc_address.split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))


def test_what_clients_send_forges_no_lines_of_the_log_and_fills_it_with_nothing(toy, tmp_path):
    (tmp_path / "bad" / "1").mkdir(parents=True)
    name = "mine\nERROR serving.server: forged\r\x1b[2K\u2028"
    reload = model_management_pb2.ReloadConfigRequest(
        config=files.one_model(name, tmp_path / "bad")
    )
    with (
        engines.running(Changed("--max_num_load_retries=0"), options(toy)) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        for content in (
            b"\x01",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(230),
            b"\x16\x03\x01" * 99,
        ):
            host, port = server.grpc_address.split(":")
            with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as made:
                made.sendall(content)
        with pytest.raises(grpc.RpcError) as error:
            model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(
                reload, timeout=PATIENCE_S
            )
        assert error.value.code() is grpc.StatusCode.UNKNOWN
        until(lambda: server.said, server.last_lines)
        assert [line.split(" of ")[1].split(" cannot")[0] for line in server.said] == [
            r"mine\nERROR serving.server: forged\r\x1b[2K\u2028"
        ]
        # And the models have stayed as they were.
        assert ask(prediction_service_pb2_grpc.PredictionServiceStub(channel), 5.0)[1] == 1.0


def test_a_full_queue_refuses_and_is_itself_again(toy, tmp_path):
    config = tmp_path / "batching.config"
    config.write_text(
        "max_batch_size { value: 1 } max_enqueued_batches { value: 1 } "
        "num_batch_threads { value: 1 }"
    )
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "toy"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([5.0], tf.float32))
    with (
        engines.running(Embedded(), options(toy, batching_config=config)) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
        ThreadPoolExecutor(32) as pool,
        httpx.Client(base_url=server.rest_url, timeout=PATIENCE_S) as http,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def over_rest(_):
            response = http.post("/v1/models/toy:predict", json={"instances": [5.0]})
            return response.status_code, next(iter(response.json()))

        answers = [stub.Predict.future(request, timeout=PATIENCE_S) for _ in range(300)]
        assert {each.code() for each in answers} == {
            grpc.StatusCode.OK,
            grpc.StatusCode.UNAVAILABLE,
        }
        answers = set(pool.map(over_rest, range(300)))
        assert answers == {(200, "predictions"), (503, "error")}
        # Who goes away without waiting harms nobody either.
        for _ in range(300):
            stub.Predict.future(request, timeout=PATIENCE_S).cancel()
        with open_model(f"grpc://{server.grpc_address}", model="toy") as client:
            assert client.version() == 1
        until(lambda: over_rest(None)[0] == 200)


def test_metrics_tell_of_batches_and_of_the_runtime(serving, tiny):
    def figures():
        page = httpx.get(f"{serving.rest_url}{files.PROMETHEUS_PATH}", trust_env=False).text
        rows = [line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#")]
        return page, {name: float(value) for name, value in rows}

    name = ":tensorflow:serving:"
    runtime = f'{name}runtime_latency_count{{API="Predict",model_name="dexmatch",runtime="TF1"}}'
    queued = f'{name}batching_session:queuing_latency_count{{thread_pool_name="batch_threads"}}'
    batches = f"{name}batching_session:wrapped_run_count"
    before = figures()[1]
    with open_model(f"grpc://{serving.grpc_address}") as client:
        for _ in range(3):
            client.encode_captions(["a bird"])
    page, after = figures()
    for counted in (runtime, queued, batches):
        assert after[counted] - before.get(counted, 0) == 3, counted
    assert f"# TYPE {batches} counter" in page
    assert "_created" not in page


STARTS_A_SERVER = """
import sys, time
from pathlib import Path
from serving import engines, files
from serving.client import open_model
options = engines.Options("toy", Path(sys.argv[1]), grpc_port=0, rest_port=0)
with engines.running(engines.choose("embedded"), options) as server:
    print(server.pid, flush=True)
    time.sleep(600)
"""


def test_it_ends_with_a_process_that_is_killed(toy):
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_SERVER, str(toy)], stdout=subprocess.PIPE, text=True
    )
    server = psutil.Process(int(starter.stdout.readline()))
    starter.kill()
    starter.wait()
    starter.stdout.close()
    server.wait(PATIENCE_S)  # Raises if it goes on.


def test_a_port_that_is_taken_is_told(toy):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for ports, flag in (
            ({"grpc_port": port, "rest_port": 0}, "--port"),
            ({"grpc_port": 0, "rest_port": port}, "--rest-port"),
        ):
            told = f"cannot listen on 127.0.0.1:{port}: Address already in use; .* by {flag} "
            with pytest.raises(DexmatchError, match=told):
                with engines.running(Embedded(), engines.Options("toy", toy, **ports)):
                    pass


def test_a_host_that_is_none_is_told_in_one_line(toy):
    options = engines.Options("toy", toy, host="999.1.1.1", grpc_port=0, rest_port=0)
    with pytest.raises(DexmatchError, match=r"999.1.1.1:0: [^()]*; choose another by .* or --host"):
        with engines.running(Embedded(), options):
            pass

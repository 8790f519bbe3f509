"""Command lines, without the binaries; and the binaries where they are."""

import dataclasses
import re
import socket
from pathlib import Path

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from pipeline import cli
from pipeline.errors import DexmatchError
from serving import engines, files
from serving.engines import docker
from serving.engines.binary import Binary
from serving.engines.docker import Docker
from serving.engines.embedded import Embedded
from serving.server import flags

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "serving_model"
REAL_FLAGS = frozenset(
    line.strip()
    for line in """
    batching_parameters_file
    enable_batching
    enable_grpc_healthcheck_service
    enable_model_warmup
    enable_profiler
    file_system_poll_wait_seconds
    grpc_channel_arguments
    grpc_max_threads
    grpc_socket_path
    load_retry_interval_micros
    max_num_load_retries
    mixed_precision
    model_base_path
    model_config_file
    model_config_file_poll_wait_seconds
    model_name
    monitoring_config_file
    num_load_threads
    num_request_iterations_for_warmup
    num_unload_threads
    port
    rest_api_enable_cors_support
    rest_api_num_threads
    rest_api_port
    rest_api_timeout_in_ms
    saved_model_tags
    ssl_config_file
    tensorflow_inter_op_parallelism
    tensorflow_intra_op_parallelism
    tensorflow_session_parallelism
    """.splitlines()
)
"""What tensorflow_model_server takes."""


@pytest.fixture
def options(tmp_path):
    base = tmp_path / "dexmatch"
    base.mkdir()
    return engines.Options(
        "dexmatch",
        base,
        models_config=SHIPPED / files.MODELS,
        batching_config=SHIPPED / files.BATCHING,
        monitoring_config=SHIPPED / files.MONITORING,
        poll_seconds=0.2,
        cors=True,
    )


def given(command):
    return dict(re.fullmatch(r"--(\w+)=(.*)", word).groups() for word in command)


@pytest.mark.parametrize("with_file", [True, False])
def test_the_binary_is_given_flags_that_it_has_and_files_that_are_there(options, with_file):
    if not with_file:
        options = dataclasses.replace(options, models_config=None)
    program, *words = Binary().command(options)
    assert program == "tensorflow_model_server"
    flagged = given(words)
    assert flagged.keys() <= REAL_FLAGS
    for name, value in flagged.items():
        if name.endswith(("_file", "_path")):
            assert Path(value).is_absolute() and Path(value).exists()
    assert flagged["file_system_poll_wait_seconds"] == "1"  # An int32 there.
    if with_file:
        assert "model_name" not in flagged
    else:
        assert flagged["model_name"] == "dexmatch"


def test_docker_mounts_what_is_there_and_names_what_it_mounts(options):
    words = Docker().command(options)
    image = words.index(docker.IMAGE)
    mounts = dict(
        re.fullmatch(r"type=bind,source=(.+),target=(.+),readonly", words[number + 1]).groups()
        for number in range(image)
        if words[number] == "--mount"
    )
    assert len(mounts) == 4
    assert all(Path(source).exists() for source in mounts)
    flagged = given(words[image + 1 :])
    assert flagged.keys() <= REAL_FLAGS
    for name, value in flagged.items():
        if name.endswith("_file"):
            assert value in mounts.values()
    (model,) = files.read_models(options.models_config).model_config_list.config
    assert mounts[str(options.base_path)] == model.base_path
    assert "127.0.0.1:8501:8501" in words


def test_the_embedded_engine_understands_its_command_line(options):
    words = Embedded().command(options)
    parsed = flags.parse(words[3:])
    assert parsed.enable_batching and parsed.rest_api_enable_cors_support
    assert flags.core_options(parsed).batching.max_batch_size == 32
    assert flags.core_options(parsed).poll_s == 0.2
    own = {"host", "stop_with_stdin"}
    assert given(words[3:]).keys() - own <= REAL_FLAGS


def test_auto_takes_the_first_that_is_there(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engines.choose("auto").name == "embedded"
    program = tmp_path / "tensorflow_model_server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert engines.choose("auto").name == "tensorflow_model_server"


def test_a_named_engine_that_is_not_there_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DexmatchError, match="not on the PATH"):
        engines.choose("tensorflow_model_server")
    with pytest.raises(DexmatchError, match="docker is not on the PATH"):
        engines.choose("docker")
    with pytest.raises(DexmatchError, match="no engine; choose from auto"):
        engines.choose("triton")
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    with pytest.raises(DexmatchError, match="does not answer"):
        engines.choose("docker")


def test_compose_runs_what_the_docker_engine_runs():
    services = yaml.safe_load((SHIPPED / "compose.yaml").read_text())["services"]
    serving = services["serving"]
    assert serving["image"] == docker.IMAGE
    flagged = given(serving["command"])
    assert flagged.keys() <= REAL_FLAGS
    mounts = {}
    for service in services.values():
        for mount in service["volumes"]:
            assert mount["read_only"] is True
            mounts[mount["target"]] = mount["source"]
            if mount["source"] != "./dexmatch":  # Made by the first push.
                assert (SHIPPED / mount["source"]).is_file()
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert {value for name, value in flagged.items() if name.endswith("_file")} <= mounts.keys()
    (model,) = files.read_models(SHIPPED / files.MODELS).model_config_list.config
    assert mounts[model.base_path] == "./dexmatch"
    assert f"/v1/models/{model.name} " in serving["healthcheck"]["test"][-1]


def test_prometheus_reads_where_the_server_shows():
    scraped = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())["scrape_configs"][0]
    assert scraped["metrics_path"] == files.read_monitoring(SHIPPED / files.MONITORING)
    assert scraped["static_configs"] == [{"targets": ["serving:8501"]}]


def test_the_image_is_no_newer_than_the_tensorflow_that_saved_the_model():
    locked = re.search(r"^tensorflow==(\d+)\.(\d+)", (ROOT / "requirements.lock").read_text(), re.M)
    image = re.fullmatch(r"tensorflow/serving:(\d+)\.(\d+)\.\d+", docker.IMAGE)
    (major, minor), (image_major, image_minor) = locked.groups(), image.groups()
    # One minor behind while TensorFlow Serving has no release of the same.
    assert image_major == major and int(minor) - int(image_minor) in (0, 1)


def serves(engine, pushed):
    with engines.running(
        engines.choose(engine), engines.Options("dexmatch", pushed, grpc_port=0, rest_port=0)
    ) as server:
        answer = httpx.post(
            f"{server.rest_url}/v1/models/dexmatch:predict",
            json={"instances": [{"image": {"b64": "AAAA"}, "caption": "a bird"}]},
        )
        assert answer.json() == {"predictions": [0.0]}
        return server


@pytest.mark.parametrize("engine", [Binary(), Docker(), Embedded()], ids=lambda engine: engine.name)
def test_an_engine_serves_and_stops(engine, pushed):
    if reason := engine.missing():
        pytest.skip(reason)
    assert serves(engine.name, pushed).process.returncode is not None


def test_a_server_that_cannot_serve_says_why(tmp_path):
    (tmp_path / "dexmatch" / "1").mkdir(parents=True)
    options = engines.Options("dexmatch", tmp_path / "dexmatch", grpc_port=0, rest_port=0)
    broken = dataclasses.replace(options, base_path=tmp_path / "none")
    with pytest.raises(DexmatchError, match="embedded cannot serve dexmatch: .*no version folder"):
        with engines.running(Embedded(), broken):
            pass


def test_serve_tells_mistakes_in_one_line(tmp_path):
    def outcome(*arguments):
        result = CliRunner().invoke(cli.app, ["serve", *arguments])
        assert isinstance(result.exception, DexmatchError)
        return str(result.exception)

    empty = tmp_path / "dexmatch"
    assert "no pushed model yet; make one with `dexmatch run`" in outcome("--model", str(empty))
    assert str(tmp_path) in outcome("--set", f"pusher.directory={tmp_path}")
    (empty / "1").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = outcome("--model", str(empty), "--engine", "embedded", "--port", port)
    assert f"cannot listen on 127.0.0.1:{port}" in told
    (tmp_path / "batching.config").write_text("nonsense")
    assert "batching.config, line 1" in outcome("--model", str(empty))

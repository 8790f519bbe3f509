"""Command lines, without the binaries; and the binaries where they are."""

import dataclasses
import itertools
import re
import shutil
import socket
import subprocess
from pathlib import Path

import grpc
import httpx
import pytest
import yaml
from typer.testing import CliRunner

from core.database_url import PASSWORD_VARIABLE
from core.errors import DexmatchError
from pipeline import cli
from serving import engines, files
from serving.client import Retries, ServingUnavailable, Settings, open_model
from serving.engines import docker
from serving.engines.binary import Binary
from serving.engines.docker import Docker
from serving.engines.embedded import Embedded
from serving.engines.running import _own_environment
from serving.server import flags

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "serving_model"
REAL_FLAGS = frozenset(
    (
        "allow_version_labels_for_unavailable_models",
        "batching_parameters_file",
        "enable_batching",
        "enable_grpc_healthcheck_service",
        "enable_model_warmup",
        "enable_profiler",
        "file_system_poll_wait_seconds",
        "grpc_channel_arguments",
        "grpc_max_threads",
        "grpc_socket_path",
        "load_retry_interval_micros",
        "max_num_load_retries",
        "mixed_precision",
        "model_base_path",
        "model_config_file",
        "model_config_file_poll_wait_seconds",
        "model_name",
        "monitoring_config_file",
        "num_load_threads",
        "num_request_iterations_for_warmup",
        "num_unload_threads",
        "port",
        "rest_api_enable_cors_support",
        "rest_api_num_threads",
        "rest_api_port",
        "rest_api_timeout_in_ms",
        "saved_model_tags",
        "ssl_config_file",
        "tensorflow_inter_op_parallelism",
        "tensorflow_intra_op_parallelism",
        "tensorflow_session_parallelism",
    )
)
"""What tensorflow_model_server takes."""
OF_OUR_OWN = {"host", "stop_with_stdin"}


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


def as_started(engine, options):
    """The flags that a server is started with; what Docker maps is mapped back."""
    words = engine.command(options)
    if not isinstance(engine, Docker):
        return {
            name: value
            for name, value in given([word for word in words if word.startswith("--")]).items()
            if name not in OF_OUR_OWN
        }
    image = words.index(docker.IMAGE)
    flagged = given(words[image + 1 :])
    for option, value in itertools.pairwise(words[:image]):
        if option == "--mount":
            source, target = re.fullmatch(r".*source=(.+),target=(.+),readonly", value).groups()
            flagged = {name: source if v == target else v for name, v in flagged.items()}
        if option == "--publish":
            outside, inside = value.rsplit(":", 2)[1:]
            name = {"8500": "port", "8501": "rest_api_port"}[inside]
            assert flagged[name] == inside
            flagged[name] = outside
    return flagged


CHANGES = {
    "model_name": "other",
    "base_path": SHIPPED,
    "grpc_port": 1234,
    "rest_port": 1235,
    "models_config": None,
    "batching_config": None,
    "monitoring_config": None,
    "ssl_config": SHIPPED / "prometheus.yml",  # Any file that is there.
    "poll_seconds": 7,
    "cors": False,
}


@pytest.mark.parametrize("option", CHANGES)
def test_an_option_means_the_same_to_every_engine(options, option):
    options = dataclasses.replace(options, poll_seconds=1)
    if option in ("model_name", "base_path"):
        options = dataclasses.replace(options, models_config=None)
    changed = dataclasses.replace(options, **{option: CHANGES[option]})
    before, after = (
        [as_started(engine, each) for engine in (Binary(), Docker(), Embedded())]
        for each in (options, changed)
    )
    assert before[0] == before[1] == before[2]
    assert after[0] == after[1] == after[2]
    assert before[0] != after[0]


def test_no_option_is_left_out_of_the_comparison():
    names = {field.name for field in dataclasses.fields(engines.Options)}
    # The first is told where it is not heeded, the others are refused where nothing is logged.
    assert names - CHANGES.keys() == {"host", "request_log", "request_log_sampling"}


@pytest.mark.parametrize("engine", [Binary(), Docker(), Embedded()], ids=lambda each: each.name)
def test_serve_gives_every_engine_the_same(monkeypatch, tmp_path, tls, engine):
    (tmp_path / "mine" / "1").mkdir(parents=True)
    files.write(tls, tmp_path / "ssl.config")
    for name in (files.BATCHING, files.MONITORING):
        shutil.copy(SHIPPED / name, tmp_path)
    started = []

    def start(chosen, options, echo):
        started.append((chosen, options))
        raise DexmatchError("not started")

    monkeypatch.setattr(engines, "choose", {engine.name: engine}.__getitem__)
    monkeypatch.setattr(engines, "started", start)
    words = f"""serve --engine {engine.name} --model {tmp_path}/mine --host 127.0.0.2 --port 1234
        --rest-port 1235 --ssl-config {tmp_path}/ssl.config --cors --poll-seconds 7"""
    CliRunner().invoke(cli.app, words.split())
    expected = engines.Options(
        "mine",
        tmp_path / "mine",
        host="127.0.0.2",
        grpc_port=1234,
        rest_port=1235,
        batching_config=tmp_path / files.BATCHING,
        monitoring_config=tmp_path / files.MONITORING,
        ssl_config=tmp_path / "ssl.config",
        poll_seconds=7,
        cors=True,
    )
    assert started == [(engine, expected)]


VALUES = {
    **dict.fromkeys(("batching_parameters_file", "grpc_socket_path", "model_base_path"), "a"),
    **dict.fromkeys(("model_config_file", "monitoring_config_file", "ssl_config_file"), "a"),
    **dict.fromkeys(("model_name", "saved_model_tags"), "a"),
    "grpc_channel_arguments": "grpc.max_concurrent_streams=5,grpc.primary_user_agent=a",
    "mixed_precision": "bfloat16",
}


@pytest.mark.parametrize("flag", sorted(REAL_FLAGS))
def test_the_embedded_engine_takes_every_flag_of_the_real_server(flag):
    is_switch = flag.startswith(("enable", "allow")) or "cors" in flag
    value = VALUES.get(flag, "true" if is_switch else "1")
    parsed = flags.parse([f"--{flag}={value}"])
    assert hasattr(parsed, flag)
    idle = ("enable_profiler", "grpc_max_threads", "num_unload_threads", "rest_api_num_threads")
    assert flags.without_effect(parsed) == ([f"--{flag}"] if flag in idle else [])


def test_what_flags_become():
    assert flags.parse(["--grpc_channel_arguments=a.b=5,c=-1,d=x"]).grpc_channel_arguments == (
        ("a.b", 5),
        ("c", -1),
        ("d", "x"),
    )
    with pytest.raises(SystemExit):
        flags.parse(["--grpc_channel_arguments=a"])
    both = "--tensorflow_session_parallelism=3"
    assert flags.threads(flags.parse([both])) == (3, 3)
    assert flags.threads(flags.parse([both, "--tensorflow_inter_op_parallelism=2"])) == (3, 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--port=0"], "one of --port and --grpc_socket_path must be set"),
        (["--port=1", "--rest_api_port=1"], "--rest_api_port must be another than --port"),
        (["--port=65536"], "is no port"),
        (["--rest_api_port=-1"], "is no port"),
    ],
)
def test_ports_that_make_no_sense_are_told(capsys, words, told):
    with pytest.raises(SystemExit) as ended:
        flags.parse(words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_file_of_batching_parameters_without_batching_is_a_mistake():
    parsed = flags.parse([f"--batching_parameters_file={SHIPPED / files.BATCHING}"])
    with pytest.raises(DexmatchError, match="of no use without --enable_batching"):
        flags.core_options(parsed)


def test_the_embedded_engine_understands_its_command_line(options):
    words = Embedded().command(options)
    parsed = flags.parse(words[3:])
    assert parsed.enable_batching and parsed.rest_api_enable_cors_support
    assert flags.core_options(parsed).batching.max_batch_size == 32
    assert flags.core_options(parsed).poll_s == 0.2
    assert given(words[3:]).keys() - OF_OUR_OWN <= REAL_FLAGS


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
    # As the other engines are given it: models.config may hold labels.
    assert flagged["allow_version_labels_for_unavailable_models"] == "true"
    (model,) = files.read_models(SHIPPED / files.MODELS).model_config_list.config
    assert mounts[model.base_path] == "./dexmatch"
    assert f"/v1/models/{model.name} " in serving["healthcheck"]["test"][-1]


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(("model", "status"), [("dexmatch", 0), ("other", 1)])
def test_the_health_check_asks_whether_the_model_can_answer(serving, model, status):
    services = yaml.safe_load((SHIPPED / "compose.yaml").read_text())["services"]
    kind, *words = services["serving"]["healthcheck"]["test"]
    assert kind == "CMD" and "/127.0.0.1/8501 " in words[-1]
    port = serving.rest_url.rsplit(":", 1)[1]
    script = words[-1].replace("8501", port).replace("/dexmatch ", f"/{model} ")
    assert subprocess.run([*words[:-1], script], check=False).returncode == status


def test_compose_pins_every_image():
    services = yaml.safe_load((SHIPPED / "compose.yaml").read_text())["services"]
    for service in services.values():
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"])


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


def test_grpc_over_tls(pushed, tmp_path, tls, monkeypatch):
    files.write(tls, tmp_path / "ssl.config")
    options = engines.Options(
        "dexmatch", pushed, grpc_port=0, rest_port=0, ssl_config=tmp_path / "ssl.config"
    )
    trusting = grpc.ssl_channel_credentials(tls.server_cert.encode())
    monkeypatch.setattr(grpc, "ssl_channel_credentials", lambda: trusting)
    with engines.running(Embedded(), options) as server:
        with open_model(f"grpcs://{server.grpc_address}") as model:
            assert model.version() == 1
            assert model.score([b"no picture"], ["a bird"]).tolist() == [0]
        once = Settings(retries=Retries(attempts=1))
        with open_model(f"grpc://{server.grpc_address}", settings=once) as model:
            with pytest.raises(ServingUnavailable):
                model.version()


def test_a_server_is_not_given_the_password_of_a_database(monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, "hunter2")
    monkeypatch.setenv("ANOTHER", "stays")
    environment = _own_environment()
    assert "hunter2" not in environment.values()
    assert environment["ANOTHER"] == "stays"


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

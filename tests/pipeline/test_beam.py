"""Beam's options for each runner, workers on a cluster, and what is found before a run starts."""

import json
import os
import socket
import stat
import subprocess
import sys
import types
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    SparkRunnerOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from apache_beam.runners.job.utils import dict_to_struct
from apache_beam.runners.runner import PipelineState
from apache_beam.runners.worker import sdk_worker_main
from tfx.utils import dependency_utils

from core import config as configs
from core.config import RunConfig
from core.errors import DexmatchError
from pipeline import execution
from pipeline.beam import boot, options, reach, worker
from results.workspace import Workspace

ROOT = Path(__file__).parents[2]
CLOUD = ("--project=mine", "--region=europe-west1", "--temp_location=gs://bucket/temp")


def parsed(**settings):
    return PipelineOptions(options.arguments(RunConfig(**settings), boot="/shared/run/worker"))


def runner(found):
    return found.view_as(StandardOptions).runner


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "DirectRunner"),
        ({"runner": "flink", "flink_master": "flink:8081"}, "FlinkRunner"),
        ({"runner": "spark", "spark_master": "spark://spark:7077"}, "SparkRunner"),
        ({"runner": "dataflow", "beam_args": CLOUD}, "DataflowRunner"),
        # A runner that is not among ours.
        ({"beam_args": ("--runner=PrismRunner",)}, "PrismRunner"),
    ],
)
def test_each_runner_is_beams(settings, name):
    assert runner(parsed(**settings)) == name


def test_beams_options_name_the_cluster():
    flink = parsed(runner="flink", flink_master="flink:8081")
    assert flink.view_as(FlinkRunnerOptions).flink_master == "flink:8081"
    spark = parsed(runner="spark", spark_master="spark://spark:7077")
    assert spark.view_as(SparkRunnerOptions).spark_master_url == "spark://spark:7077"


@pytest.mark.parametrize("name", ["flink", "spark"])
def test_a_cluster_starts_our_workers_with_tfx_in_them(name, monkeypatch):
    found = parsed(runner=name)
    environment = found.view_as(PortableOptions)
    assert environment.environment_type == "PROCESS"
    assert json.loads(environment.environment_config) == {"command": "/shared/run/worker"}
    assert found.view_as(SetupOptions).beam_plugins == ["tfx"]
    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: pytest.fail("packed"))
    dependency_utils.make_beam_dependency_flags(options.arguments(RunConfig(runner=name)))


def test_the_users_options_win():
    own = ("--environment_type=EXTERNAL", "--environment_config=localhost:50000")
    environment = parsed(runner="flink", beam_args=own).view_as(PortableOptions)
    assert environment.environment_type == "EXTERNAL"
    assert environment.environment_config == "localhost:50000"
    image = parsed(beam_args=("--sdk_container_image=mine",)).view_as(WorkerOptions)
    assert image.sdk_container_image == "mine"


def test_a_runner_of_the_users_own_is_given_no_image():
    """Its workers may well have to install TFX."""
    found = parsed(beam_args=("--runner=PortableRunner", "--job_endpoint=localhost:8099"))
    assert found.view_as(WorkerOptions).sdk_container_image is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"runner": "flink"}, "flink needs the address of the cluster: --flink-master HOST:PORT"),
        ({"runner": "spark"}, "spark needs .*: --spark-master spark://HOST:PORT"),
        ({"runner": "flink", "flink_master": "flink"}, "flink_master: flink is no address"),
        ({"runner": "spark", "spark_master": "spark:7077"}, "is no address; write spark://"),
        ({"runner": "flink", "flink_master": "localhost:99999"}, "nobody answers at localhost:999"),
        (
            {"runner": "flink", "beam_args": ("--job_endpoint", "x")},
            "--job_endpoint: x is no addre",
        ),
        ({"runner": "flink", "beam_args": ("--runner=SparkRunner",)}, "run.runner is flink: take"),
        ({"runner": "dataflow"}, "dataflow needs --project: --beam-arg=--project=NAME"),
        ({"runner": "dataflow", "beam_args": CLOUD[:1]}, "needs --region"),
        ({"runner": "dataflow", "beam_args": CLOUD[:2]}, "needs --temp_location: .*=gs://"),
        (
            {"runner": "dataflow", "beam_args": (*CLOUD[:2], "--temp_location=/tmp")},
            "--temp_location=/tmp: Dataflow keeps its files in Cloud Storage",
        ),
        ({"runner": "flink", "beam_args": ("--job_endpoint",)}, "run.beam_args: .*job_endpoint"),
    ],
)
def test_what_a_runner_lacks_is_said_in_a_line(settings, said):
    with pytest.raises(DexmatchError, match=said) as raised:
        options.check(RunConfig(**settings))
    assert "\n" not in str(raised.value)


def test_a_cluster_that_does_not_answer_is_said(free_port):
    with pytest.raises(DexmatchError, match=f"nobody answers at localhost:{free_port}"):
        options.check(RunConfig(runner="flink", flink_master=f"localhost:{free_port}"))


def test_a_job_server_of_beams_needs_java(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with socket.create_server(("localhost", 0)) as listening:
        address = f"localhost:{listening.getsockname()[1]}"
        with pytest.raises(DexmatchError, match="flink needs Java"):
            options.check(RunConfig(runner="flink", flink_master=address))
        options.check(RunConfig(runner="flink", beam_args=(f"--job_endpoint={address}",)))
    with pytest.raises(DexmatchError, match="spark needs Java"):
        options.check(RunConfig(runner="spark", spark_master="local[2]"))


# Workers.


@pytest.fixture
def workspace(tmp_path):
    root = tmp_path / "it's [v2]" / "dexmatch"
    root.mkdir(parents=True)
    return Workspace(root, tmp_path / "serving")


def test_the_program_starts_a_worker_in_the_workspace(workspace, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\npwd\nfor each in "$@"; do echo "$each"; done\necho "$PYTHONPATH"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    settings = configs.load(
        None, [f"run.code={json.dumps(str(tmp_path))}", "caption.normalize=mine.text.words"]
    )
    boot.write(settings, workspace)
    done = subprocess.run(
        [boot.program(workspace), "--id=a b"], cwd="/", capture_output=True, text=True, check=True
    )
    # Its output is not read, its log is.
    folder, *arguments, path = done.stderr.splitlines()
    assert folder == str(workspace.root)
    assert arguments == ["-m", "pipeline.beam.worker", "--id=a b"]
    packages = path.split(os.pathsep)[-1]
    assert os.path.samefile(os.path.join(packages, "mine"), tmp_path / "mine")


class Provision(beam_provision_api_pb2_grpc.ProvisionServiceServicer):
    """What a runner tells its workers."""

    def GetProvisionInfo(self, request, context):
        assert ("worker_id", "1-2") in context.invocation_metadata()
        return beam_provision_api_pb2.GetProvisionInfoResponse(
            info=beam_provision_api_pb2.ProvisionInfo(
                pipeline_options=dict_to_struct({"beam:option:beam_plugins:v1": ["colorsys"]}),
                logging_endpoint=endpoints_pb2.ApiServiceDescriptor(url="log:1"),
                control_endpoint=endpoints_pb2.ApiServiceDescriptor(url="control:2"),
                runner_capabilities=["a", "b"],
            )
        )


@pytest.fixture
def provision():
    server = grpc.server(futures.ThreadPoolExecutor(1))
    beam_provision_api_pb2_grpc.add_ProvisionServiceServicer_to_server(Provision(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None)


def test_a_worker_gets_the_options_of_the_job(provision, monkeypatch):
    """Beam's own code reads them, up to where it would connect."""
    seen = {}

    def main(_):
        monkeypatch.delenv("LOGGING_API_SERVICE_DESCRIPTOR")
        monkeypatch.delitem(sys.modules, "colorsys", raising=False)
        seen.update(os.environ)
        sdk_worker_main.create_harness(os.environ, dry_run=True)

    for name in ("WORKER_ID", "PIPELINE_OPTIONS", "CONTROL_API_SERVICE_DESCRIPTOR"):
        monkeypatch.setenv(name, "")
    for name in ("LOGGING_API_SERVICE_DESCRIPTOR", "RUNNER_CAPABILITIES"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(sdk_worker_main, "main", main)
    monkeypatch.setattr(sys, "argv", ["worker", "--id='1-2'", f"--provision_endpoint={provision}"])
    worker.main()
    assert seen["WORKER_ID"] == "1-2"
    assert seen["RUNNER_CAPABILITIES"] == "a b"
    assert seen["CONTROL_API_SERVICE_DESCRIPTOR"].strip() == 'url: "control:2"'
    assert "colorsys" in sys.modules


def test_a_worker_has_its_id_before_beam_reads_it():
    """What it logs would be refused."""
    reader = "apache_beam.runners.worker.worker_id_interceptor"
    program = f"import sys, pipeline.beam.worker\nassert {reader!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


# What they reach.


@pytest.fixture
def look(workspace, monkeypatch):
    """Has a worker look, in this process: one that shares the workspace, as it is now."""
    dataset = workspace.root / "links" / "data"
    (workspace.root / "data").mkdir()
    dataset.parent.mkdir()
    dataset.symlink_to(workspace.root / "data")
    settings = configs.load(None, ["run.runner=flink"])
    boot.write(settings, workspace)
    monkeypatch.chdir(workspace.root)

    def look(arguments=("--runner=FnApiRunner",)):
        inputs = configs.load(None, [f"data.dataset={workspace.inside(dataset)}"])
        reach.check(settings, inputs, workspace, arguments)

    return look


def test_a_worker_that_reaches_all_is_content(look):
    look()


def test_data_that_it_does_not_find_are_named(look, workspace):
    (workspace.root / "data").rmdir()
    with pytest.raises(DexmatchError, match="data.dataset: a worker on .* does not find .*/data: "):
        look()


def test_what_a_worker_raised_on_another_host_is_left_to_be_found(look, runs_as):
    told = "Traceback\ncore.errors.DexmatchError: data.dataset: a worker on b does not find it\n"
    runs_as(None, told)
    with pytest.raises(RuntimeError) as raised:
        look()
    found = execution.users_mistake(raised.value)
    assert found == "data.dataset: a worker on b does not find it"


def test_another_folder_of_that_name_is_told_from_the_workspace(look, workspace):
    (workspace.root / "beam" / "marker").write_text("2")
    for inside in "/nonexistent", str(workspace.root):
        looked = reach._Look("flink", "/runs", inside, "1", {})
        with pytest.raises(DexmatchError, match="finds another folder at /runs, or none: .* flink"):
            looked(None)


def test_a_worker_that_may_not_write_is_told(look, workspace):
    (workspace.root / "beam" / "marker").write_text("1")
    (workspace.root / "beam" / "answer").mkdir()
    looked = reach._Look("flink", "/runs", str(workspace.root), "1", {})
    with pytest.raises(DexmatchError, match="cannot write into /runs"):
        looked(None)


@pytest.fixture
def runs_as(monkeypatch):
    """Has a cluster do a job in some way."""

    def runs_as(state, error=None):
        def wait_until_finish(duration):
            if error:
                raise RuntimeError(error)
            return state

        result = types.SimpleNamespace(
            wait_until_finish=wait_until_finish, cancel=lambda: cancelled.append(True)
        )
        cancelled = []
        monkeypatch.setattr(reach.beam.Pipeline, "run", lambda self: result)
        return cancelled

    return runs_as


def test_workers_that_never_start_are_waited_for_only_so_long(look, runs_as, workspace):
    cancelled = runs_as(PipelineState.RUNNING)
    with pytest.raises(DexmatchError, match=r"no worker of flink .* start .*/beam/worker\?"):
        look()
    assert cancelled


def test_what_a_worker_wrote_must_be_here(look, runs_as):
    runs_as(PipelineState.DONE)
    with pytest.raises(DexmatchError, match="what a worker of flink wrote into .* is not there"):
        look()


def test_a_cluster_that_fails_is_quoted_in_a_line(look, runs_as):
    runs_as(None, "java.io.IOException: first\n  Cannot run program: no such file\n")
    with pytest.raises(DexmatchError, match="first small job: Cannot run program: no such file; "):
        look()


def test_others_may_start_it(workspace):
    boot.write(configs.load(None), workspace)
    assert boot.program(workspace).stat().st_mode & stat.S_IXOTH

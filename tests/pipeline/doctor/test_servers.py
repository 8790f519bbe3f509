"""Model servers, runners and ports."""

import socket
import subprocess
import sys

import psutil
import pytest

from pipeline.doctor import engines, ports
from serving.engines import docker


def test_without_other_servers_it_is_the_embedded_one(look, commands):
    found = look(engines)["model server"]
    assert found.found.startswith("embedded for serving.engine = auto; ")
    assert found.facts["available"] == ["embedded"]


def test_the_best_server_that_is_there(look, commands):
    commands("tensorflow_model_server", "")
    commands("docker", "echo 27.1")
    found = look(engines)["model server"]
    assert found.found == "tensorflow_model_server for serving.engine = auto"
    assert found.facts["available"] == ["tensorflow_model_server", "docker", "embedded"]


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 60"])
def test_a_docker_that_does_not_answer_is_told_where_it_is_wanted(
    look, commands, monkeypatch, script
):
    monkeypatch.setattr(docker, "ANSWER_S", 0.5)
    commands("docker", script)
    assert look(engines)["model server"].status == "ok"
    found = look(engines, "serving.engine=docker")["model server"]
    assert (found.status, found.found) == ("problem", "Docker's engine does not answer")
    assert found.advice.startswith("start it")


def test_runners_of_java_need_java(look, commands):
    assert "FlinkRunner and SparkRunner would need Java" in look(engines)["Beam runners"].found
    commands("java", "")
    assert "FlinkRunner" in look(engines)["Beam runners"].facts["available"]


def test_a_free_port(free_port):
    assert ports.look_at(free_port, "gRPC", "another").found == "free"


def test_a_port_that_is_taken_is_told_with_its_holder():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = ports.look_at(taken.getsockname()[1], "gRPC", "dexmatch serve --port auto")
    assert found.status == "warning"
    assert found.facts["process"] == psutil.Process().pid
    assert f"(process {psutil.Process().pid})" in found.found
    assert found.advice.endswith("dexmatch serve --port auto")


def test_a_port_of_somebody_else(monkeypatch):
    def denied(_):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = ports.look_at(taken.getsockname()[1], "gRPC", "another")
    assert "a process that is not yours" in found.found


def test_a_port_of_a_server_of_ours_is_well_and_its_arguments_are_not_told(free_port):
    program = (
        f"import socket, time; s = socket.create_server(('127.0.0.1', {free_port})); "
        "print(flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", program, "serving.server.process", "--password=hunter2"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            found = ports.look_at(free_port, "gRPC", "another")
        finally:
            process.kill()
    assert found.status == "ok"
    assert "of dexmatch" in found.found
    assert "hunter2" not in f"{found}"

"""The lines of README.md and docs/serving.md do what the pages say."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "serving.md"


def lines(program):
    """The commands of that program on the pages, lines that go on in the next one joined."""
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", PAGE))
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    commands = "".join(blocks).replace("\\\n", " ").splitlines()
    return [command for command in commands if command.startswith(f"{program} ")]


@pytest.fixture
def folder(tmp_path, pictures):
    """Where the lines find their picture."""
    (tmp_path / "bird.png").write_bytes(pictures["rgb.png"])
    return tmp_path


def run(command, folder):
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("command", lines("curl"))
def test_a_curl_line_is_answered(command, serving, folder, tiny, pictures):
    assert "http://localhost:8501" in command
    command = command.replace("http://localhost:8501", serving.rest_url)
    done = run(command.replace("curl ", "curl --noproxy '*' -sS ", 1), folder)
    assert done.returncode == 0, done.stderr
    if "/monitoring/" in command:
        assert "request_count" in done.stdout
        return
    answer = json.loads(done.stdout)
    assert "error" not in answer
    expected = tiny.score([pictures["rgb.png"], b""], ["a red bird"] * 2)
    if '"instances"' in command:
        assert answer["predictions"] == pytest.approx(expected[:1], abs=1e-5)
    elif '"signature_name"' in command:
        vector = tiny.encode_captions(["a red bird"])
        np.testing.assert_allclose(answer["outputs"], vector, atol=1e-5)
    elif '"inputs"' in command:
        assert answer["outputs"] == pytest.approx(expected, abs=1e-5)
        assert answer["outputs"][1] == 0
    else:
        assert "model_version_status" in answer or "signature_def" in answer["metadata"]


def test_there_are_curl_lines_of_every_kind():
    kinds = ('"instances"', '"inputs"', "encode_caption", "/metadata", "/monitoring/")
    for kind in kinds:
        assert [line for line in lines("curl") if kind in line], kind


@pytest.mark.parametrize("command", lines("grpcurl"))
def test_a_grpcurl_line_is_a_request(command, serving, folder, tiny, pictures):
    # Stands for the program, which is rarely installed: tells what it was given.
    done = run(f"grpcurl() {{ printf '%s\\0' \"$@\"; }}; {command}", folder)
    words = done.stdout.split("\0")
    assert words[-3:-1] == ["localhost:8500", "tensorflow.serving.PredictionService/Predict"]
    request = json_format.Parse(words[words.index("-d") + 1], predict_pb2.PredictRequest())
    with grpc.insecure_channel(serving.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = stub.Predict(request, timeout=60)
    expected = tiny.score([pictures["rgb.png"]], ["a red bird"])
    found = np.asarray(answer.outputs["probability"].float_val)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_there_is_a_grpcurl_line():
    assert lines("grpcurl")


def test_grpcurl_finds_all_protos_where_its_line_says():
    """Each file that the service needs is in one of the two repositories, or in grpcurl."""
    (command,) = lines("grpcurl")
    roots = re.findall(r"-import-path (\S+)", command)
    assert roots == ["serving", "tensorflow"]
    assert "-proto tensorflow_serving/apis/prediction_service.proto" in command
    # What that file imports; its own module cannot be loaded with the protobuf of today.
    imported = (
        classification_pb2,
        get_model_metadata_pb2,
        inference_pb2,
        predict_pb2,
        regression_pb2,
    )
    needed, left = set(), [module.DESCRIPTOR for module in imported]
    while left:
        file = left.pop()
        needed.add(file.name)
        left += [each for each in file.dependencies if each.name not in needed]
    own = ("tensorflow_serving/", "tensorflow/", "google/protobuf/")
    assert all(name.startswith(own) for name in needed), needed


def test_the_python_example_runs(serving, folder, monkeypatch, capsys):
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    for documented, real in (
        ("http://localhost:8501", serving.rest_url),
        ("grpc://localhost:8500", f"grpc://{serving.grpc_address}"),
    ):
        assert documented in example
        example = example.replace(documented, real)
    monkeypatch.chdir(folder)
    exec(compile(example, str(PAGE), "exec"), {})
    assert capsys.readouterr().out

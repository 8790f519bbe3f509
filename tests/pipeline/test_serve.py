"""`dexmatch serve` as people run it, with the embedded engine."""

import re
import signal

import pytest
from typer.testing import CliRunner

from core.errors import DexmatchError
from pipeline.cli import app
from serving.client import open_model

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_in_anybodys_folder_until_it_is_told_to_stop(
    tiny_models, pictures, tiny, until_stopped, number
):
    command = ["serve", "--engine", "embedded", "--model", str(tiny_models.first)]
    ports = ["--port", "auto", "--rest-port", "auto"]
    said = []
    with until_stopped(*command, *ports, number=number) as running:
        for line in running.said:
            said.append(line)
            if line.startswith("Try: "):
                break
        text = "".join(said)
        assert "embedded, which is for development" in text
        rest, rpc = re.search(r"REST at (\S+)/v1/models/first, gRPC at (\S+)", text).groups()
        images, captions = [pictures["rgb.png"]], ["a red bird"]
        expected = tiny.score(images, captions)
        for address in (rest, f"grpc://{rpc}"):
            with open_model(address, model="first") as served:
                assert served.score(images, captions) == pytest.approx(expected, abs=1e-5)
    assert running.status == 0, text + running.rest
    assert "Traceback" not in running.rest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no pushed model yet; make one with `dexmatch run`"),
        (["--engine", "apache"], "apache: no engine"),
        # To model servers it means no port at all.
        (["--port", "0"], "--port 0: no port; a number from 1 to 65535, or `auto`"),
        (["--rest-port", "65536"], "--rest-port 65536: no port"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    if arguments:
        (tmp_path / "serving_model" / "dexmatch" / "1").mkdir(parents=True)
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert isinstance(done.exception, DexmatchError)
    assert message in str(done.exception)

"""`dexmatch app` as people run it."""

import re
import socket

import httpx
import pytest
from typer.testing import CliRunner

from core.errors import DexmatchError
from pipeline.cli import app

pytestmark = pytest.mark.slow


def test_it_runs_in_anybodys_folder_until_it_is_told_to_stop(
    tiny_models, pictures, until_stopped, tmp_path
):
    album = tmp_path / "album"
    album.mkdir()
    (album / "one.png").write_bytes(pictures["rgb.png"])
    (tmp_path / "tags.txt").write_text("a red bird\n\na blue fish\na red bird\n")
    command = ["app", "--model", tiny_models.first, "--images", album, "--port", "auto"]
    more = ["--captions", tmp_path / "tags.txt", "--feedback", tmp_path / "feedback"]
    with until_stopped(*command, *more) as running:
        said = running.said.readline()
        url = re.fullmatch(r"dexmatch, version 1: (http://127\.0\.0\.1:\d+) .*\n", said)[1]
        assert "Does this caption describe this image?" in httpx.get(url).text
        state = httpx.get(f"{url}/api/state").json()
    assert (running.status, running.rest) == (0, "stopped\n")
    assert state["folder"]["total"] == 1 and state["tags"] == 2
    assert state["threshold"]["value"] == 0.5 and not state["threshold"]["isBlessed"]
    assert "no run here has pushed this version" in state["threshold"]["source"]
    assert (album / ".dexmatch-index.npz").is_file() and not (tmp_path / "feedback").exists()


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--index", "x.npz"], "--index: is that of a folder of pictures; name it by --images"),
        (["--images", "none"], "none: no such folder"),
        (["--images", "empty"], "empty: no pictures in this folder"),
        (["--captions", "none.txt"], r"none\.txt: cannot be read"),
        (["--port", "0"], "--port 0: no port"),
        (["--port", "TAKEN"], r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"),
        (["--feedback", "damaged"], r"verdicts\.jsonl, line 1: no verdict of this app"),
        (["--server", "http://127.0.0.1:1"], "no server answers there"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, tiny_models, taken, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "verdicts.jsonl").write_text("{")
    words = [taken if each == "TAKEN" else each for each in ["--port", "auto", *arguments]]
    which = [] if "--server" in words else ["--model", str(tiny_models.first)]
    done = CliRunner().invoke(app, ["app", *words, *which])
    assert isinstance(done.exception, DexmatchError)
    assert re.search(message, str(done.exception)) and "\n" not in str(done.exception)

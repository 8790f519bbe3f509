"""Commands over a push: every answer is of one version, the first or the next."""

import json
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from core.errors import DexmatchError
from pipeline.cli import app
from pipeline.commands.one_version import of_one_version
from serving.client import ModelNotFound, open_model
from serving.client.base import Client
from serving.server.core import CoreOptions

NAMES = ("grey.png", "rgb.png", "tall.png")
CAPTIONS = ("a red bird", "blue fish")
PATIENCE_S = 60


@pytest.fixture(scope="module")
def served(test_module, tiny_models, tmp_path_factory):
    """A folder of versions, and the address of its server for each wire."""
    folder = tmp_path_factory.mktemp("served") / "dexmatch"
    folder.mkdir()
    (folder / "1").symlink_to(tiny_models.first / "1")
    support = test_module("serving/rest_support.py")
    options = CoreOptions(poll_s=0.05)
    with support.serving_both({"dexmatch": folder}, options=options) as server:
        yield folder, {"http": server.url, "grpc": f"grpc://{server.grpc_address}"}


class Server:
    """What is served, and how it changes."""

    def __init__(self, folder, address, models):
        self.address = address
        self._folder = folder
        self._models = models

    def push(self, version, *, removing=None):
        """Serves the second model under that number, and unloads another version."""
        (self._folder / str(version)).symlink_to(self._models.second / "1")
        self._wait_for(version, "AVAILABLE")
        if removing is not None:
            (self._folder / str(removing)).unlink()
            self._wait_for(removing, "END")

    def reset(self):
        """Serves the first model, as version 1."""
        if not (self._folder / "1").exists():
            (self._folder / "1").symlink_to(self._models.first / "1")
        self._wait_for(1, "AVAILABLE")
        for version in self._folder.iterdir():
            if version.name != "1":
                version.unlink()
                self._wait_for(int(version.name), "END")

    def _wait_for(self, version, state):
        until = time.monotonic() + PATIENCE_S
        with open_model(self.address) as client:
            while {each.version: each.state for each in client.status()}.get(version) != state:
                assert time.monotonic() < until
                time.sleep(0.02)


@pytest.fixture
def server(wire, served, tiny_models):
    folder, addresses = served
    made = Server(folder, addresses[wire], tiny_models)
    yield made
    made.reset()


@pytest.fixture
def between(monkeypatch):
    """Has something happen when captions are encoded and pictures are not, the first time."""

    def happen(event):
        left = [event]
        encode = Client.encode_images

        def encoded(self, images):
            # A search asks for two of its own before.
            if left and len(images) == len(NAMES):
                left.pop()()
            return encode(self, images)

        monkeypatch.setattr(Client, "encode_images", encoded)

    return happen


@pytest.fixture
def album(tmp_path, pictures):
    folder = tmp_path / "album"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(pictures[name])
    (tmp_path / "captions.txt").write_text("\n".join(CAPTIONS))
    return folder


COMMANDS = {
    "predict": ("album", "--captions", "captions.txt", "--json"),
    "tag": ("album", "--captions", "captions.txt", "--json"),
    "search": (CAPTIONS[0], "--images", "album", "--json"),
}


@pytest.fixture
def ask(command, album, tmp_path, monkeypatch, server):
    """Runs a command; gives what it printed, and {(picture, caption): probability}."""
    monkeypatch.chdir(tmp_path)

    def run():
        words = [command, *COMMANDS[command], "--server", server.address]
        done = CliRunner().invoke(app, words)
        found = {}
        for row in map(json.loads, done.stdout.splitlines()):
            tags = row.get("tags", [row])
            found |= {
                (row["picture"].removeprefix("album/"), tag.get("caption", CAPTIONS[0])): tag[
                    "probability"
                ]
                for tag in tags
            }
        return done, found

    return run


every_command = pytest.mark.parametrize(
    ("command", "wire"),
    [("predict", "http"), ("predict", "grpc"), ("tag", "grpc"), ("search", "http")],
)


def check(found, model, pictures):
    """What was found is what the model says."""
    assert {picture for picture, _ in found} == set(NAMES)
    expected = model.score(
        [pictures[picture] for picture, _ in found], [caption for _, caption in found]
    )
    np.testing.assert_allclose(list(found.values()), expected, atol=1e-5)


@pytest.mark.slow
@every_command
def test_a_command_ends_with_the_version_that_it_began_with(ask, server, between, tiny, pictures):
    between(lambda: server.push(2))
    done, found = ask()
    assert done.exit_code == 0, done.output
    check(found, tiny, pictures)
    assert "anew" not in done.stderr


@pytest.mark.slow
@every_command
def test_where_its_version_is_unloaded_a_command_starts_anew_and_says_so(
    ask, server, between, tiny_models, pictures
):
    between(lambda: server.push(2, removing=1))
    done, found = ask()
    assert done.exit_code == 0, done.output
    with open_model(tiny_models.second) as second:
        check(found, second, pictures)
    told = "version 1 is served no more; starting anew with version 2"
    assert done.stderr.count(told) == 1


class Pushed:
    """Stands for a client whose server has another version whenever it is asked."""

    where = "http://somewhere"

    def __init__(self):
        self.version = 0

    def pin(self):
        self.version += 1
        return self.version


def test_a_version_that_is_changed_again_and_again_is_told_in_the_end(capsys):
    begun = []

    def work():
        begun.append(True)
        raise ModelNotFound("gone")

    with pytest.raises(DexmatchError, match="somewhere: the served version was changed 5 times"):
        of_one_version(Pushed(), work)
    assert len(begun) == 5
    assert capsys.readouterr().err.count("starting anew") == 4


def test_what_is_not_found_in_a_version_that_stays_is_told_at_once(tiny):
    begun = []

    def work():
        begun.append(True)
        raise ModelNotFound("no such signature")

    with pytest.raises(ModelNotFound, match="no such signature"):
        of_one_version(tiny, work)
    assert len(begun) == 1

"""A project in miniature: a data set, a workspace with two runs, and a pushed model."""

import hashlib
import json
import os
import shutil

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from core import config as configs
from pipeline.doctor import Subject, tensorflow_process
from pipeline.doctor.tensorflow_process import Loaded
from results.workspace import INSIDE

VERSION = "1795969178"
DATA = b"not really records"


def _write_data(folder):
    folder.mkdir()
    (folder / "pairs.gz").write_bytes(DATA)
    words = {"minimum": 1, "p5": 1, "median": 1, "p95": 1, "maximum": 1}
    described = {
        "format_version": 1,
        **dict.fromkeys(("read", "imported", "images", "groups"), 2),
        "rejected": 0,
        "rejected_by_reason": {},
        "features": [],
        "samples": [],
        "digest": "d",
        "source": {"format": "csv", "name": "c.csv", "columns": {}},
        **dict.fromkeys(("caption_words", "image_height", "image_width"), words),
        "files": [
            {
                "name": "pairs.gz",
                "examples": 2,
                "bytes": len(DATA),
                "sha256": hashlib.sha256(DATA).hexdigest(),
            }
        ],
    }
    (folder / "dataset.json").write_text(json.dumps(described))


def _write_runs(root, data, metadata_store):
    state = mlmd.Execution.COMPLETE
    store = metadata_store(root / "metadata.sqlite")
    for run, (node, kind, properties) in enumerate(
        [("ImportExampleGen", "Examples", {}), ("Pusher", "PushedModel", {})]
    ):
        uri = f"artifacts/{node}/out/{run}"
        (root / uri).mkdir(parents=True)
        (root / uri / "file").write_text("x")
        if kind == "PushedModel":
            properties = {"pushed_version": VERSION}
        store.execute(f"run-{run}", node, state, kind, uri=f"{INSIDE}/{uri}", **properties)
    (root / ".lock").touch()
    (root / "links").mkdir()
    (root / "links" / "data-1").symlink_to(data)


@pytest.fixture
def project(tmp_path, metadata_store, monkeypatch):
    """A folder, which becomes the current one: `data`, `runs/dexmatch`, `serving_model`."""
    monkeypatch.chdir(tmp_path)
    _write_data(tmp_path / "data")
    root = tmp_path / "runs" / "dexmatch"
    root.mkdir(parents=True)
    _write_runs(root, tmp_path / "data", metadata_store)
    version = tmp_path / "serving_model" / "dexmatch" / VERSION
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"graph")
    return tmp_path


@pytest.fixture
def loaded(monkeypatch):
    """Has TensorFlow seem to be loaded, and the pushed model be whole; a dict to be changed."""
    found = {"signatures": ["a"] * 5, "variables": 7, "warm_up": 3, "faults": []}
    state = {"gpus": (), "model": found, "error": None, "advice": ""}
    monkeypatch.setattr(tensorflow_process, "load", lambda *_, **__: Loaded(**state))
    return state


@pytest.fixture
def look():
    """Gives a topic's checks by name, for a configuration."""

    def look_at(module, *overrides, thorough=False):
        subject = Subject(configs.load(None, overrides), thorough)
        return {each.name: each for each in module.checks(subject)}

    return look_at


@pytest.fixture
def digest():
    """Gives what a folder holds, with times, so that a change of anything shows."""

    def digest_of(folder):
        found = {}
        for place, folders, files in os.walk(folder):
            for name in (*folders, *files, "."):
                path = os.path.join(place, name)
                status = os.lstat(path)
                content = b""
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as file:
                        content = hashlib.sha256(file.read()).digest()
                found[path] = (status.st_mode, status.st_mtime_ns, status.st_size, content)
        return found

    return digest_of


@pytest.fixture
def commands(tmp_path_factory, monkeypatch):
    """Puts programs on the PATH, by name and shell script, in the place of all others."""
    folder = tmp_path_factory.mktemp("commands")
    monkeypatch.setenv("PATH", str(folder))

    def put(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    for name in ("sh", "sleep"):
        if found := shutil.which(name, path="/usr/bin:/bin"):
            (folder / name).symlink_to(found)
    return put

"""`dexmatch versions` and `dexmatch rollback`, on folders as the Pusher leaves them."""

import json

import pytest
from typer.testing import CliRunner

from core.errors import DexmatchError
from pipeline.cli import app


@pytest.fixture
def dexmatch(tmp_path, monkeypatch):
    """Runs a command in a folder with two pushed versions."""
    monkeypatch.chdir(tmp_path)
    for number in (1795569948, 1795570000):
        folder = tmp_path / "serving_model" / "dexmatch" / str(number)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"graph")

    def invoke(*arguments):
        done = CliRunner().invoke(app, arguments)
        if isinstance(done.exception, DexmatchError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return invoke


def states(dexmatch):
    return {each["version"]: each["state"] for each in json.loads(dexmatch("versions", "--json"))}


def test_the_newest_is_served_and_a_rollback_changes_that(dexmatch):
    assert states(dexmatch) == {"1795570000": "served", "1795569948": "kept"}
    said = dexmatch("rollback", "--reason", "wrong on [blue] creatures")
    assert "version 1795569948 is served" in said
    assert states(dexmatch) == {"1795570000": "rolled back", "1795569948": "served"}
    table = dexmatch("versions")
    assert "rolled back" in table
    assert "rolled back from 1795570000 to 1795569948: wrong on [blue] creatures" in table
    dexmatch("rollback", "--to", "1795570000")
    assert states(dexmatch)["1795570000"] == "served"


def test_there_must_be_a_version_to_go_back_to(dexmatch):
    dexmatch("rollback")
    with pytest.raises(DexmatchError, match="no earlier version"):
        dexmatch("rollback")


def test_numbers_that_no_push_made_are_listed_too(dexmatch, tmp_path):
    (tmp_path / "serving_model" / "dexmatch" / "999999999999999999").mkdir()
    assert states(dexmatch)["999999999999999999"] == "served"
    assert "999999999999999999" in dexmatch("versions")


def test_a_damaged_record_is_told_by_its_line(dexmatch, tmp_path):
    dexmatch("rollback")
    with (tmp_path / "serving_model" / "dexmatch" / "rollbacks.jsonl").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(DexmatchError, match=r"rollbacks.jsonl, line 2: no JSON"):
        dexmatch("versions")


def test_without_a_push_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["versions"])
    assert done.exit_code == 0
    assert "dexmatch run" in done.output
    assert json.loads(CliRunner().invoke(app, ["versions", "--json"]).stdout) == []

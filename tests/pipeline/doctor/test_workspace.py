"""Workspaces that are not whole."""

import contextlib
import shutil
import sqlite3

import pytest

from pipeline.doctor import workspace
from results.metadata import Metadata
from results.workspace import Workspace


@pytest.fixture
def root(project):
    return project / "runs" / "dexmatch"


def states(found):
    return {name: each.status for name, each in found.items() if each.status != "ok"}


def test_a_whole_one(root, look):
    found = look(workspace)
    assert states(found) == {}
    assert found["runs"].facts["runs"] == 2
    assert found["artifacts"].facts == {"live": 2, "missing": []}
    assert found["lock"].facts["is_locked"] is False


def test_none_yet(tmp_path, look):
    found = look(workspace, f"run.workspace={tmp_path}/none")
    assert [each.found for each in found.values()] == [f"none yet in {tmp_path}/none/dexmatch"]
    assert not (tmp_path / "none").exists()


def test_a_run_that_is_at_work(root, look, project):
    with Workspace(root, project / "serving").locked():
        found = look(workspace)["lock"]
    assert found.facts["is_locked"] is True
    assert "at work" in found.found


@pytest.mark.parametrize("has_records", [False, True])
def test_a_database_server_that_is_away(root, look, has_records, free_tcp_port):
    if has_records:
        (root / "metadata.id").write_text("of this one", encoding="utf-8")
    found = look(workspace, f"run.metadata=mysql://dex@127.0.0.1:{free_tcp_port}/team")
    assert states(found) == {"database": "problem"}
    assert f"127.0.0.1:{free_tcp_port}" in found["database"].found
    assert "start it" in found["database"].advice
    assert "runs" not in found


def test_a_missing_artifact(root, look):
    shutil.rmtree(root / "artifacts" / "ImportExampleGen" / "out" / "0")
    found = look(workspace)
    assert states(found) == {"artifacts": "warning"}
    assert found["artifacts"].facts["missing"] == ["artifacts/ImportExampleGen/out/0"]


@pytest.mark.parametrize("damage", ["page", "header", "empty"])
def test_a_corrupt_database(root, look, damage):
    database = root / "metadata.sqlite"
    content = bytearray(database.read_bytes())
    if damage == "page":
        content[4096:40960] = bytes(range(256)) * 144
    elif damage == "header":
        content[:100] = b"x" * 100
    else:
        content = content[:5000]
    database.write_bytes(content)
    found = look(workspace)
    assert states(found) == {"database": "problem"}
    assert found["database"].found.startswith(f"{database}: ")
    assert "runs" not in found


def test_what_a_killed_run_was_writing_is_left_as_it_is(root, look, digest, tmp_path):
    database = root / "metadata.sqlite"
    other = tmp_path / "other.sqlite"
    shutil.copy(database, other)
    with contextlib.closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE half AS SELECT hex(randomblob(1000000)) AS much")
        connection.execute("UPDATE Type SET name = name || 'x'")
        connection.execute("INSERT INTO half SELECT much FROM half")
        for suffix in ("", "-journal"):
            shutil.copy(f"{other}{suffix}", f"{database}{suffix}")
        connection.execute("ROLLBACK")
    before = digest(root)
    found = look(workspace)
    assert states(found) == {"database": "warning"}
    assert "the next one makes it good" in found["database"].advice
    assert digest(root) == before
    assert [run.id for run in Metadata(database).runs()] == ["run-0", "run-1"]


def test_a_link_that_leads_nowhere(root, look, project):
    (project / "data").rename(project / "elsewhere")
    found = look(workspace)
    assert states(found) == {"links": "warning"}
    assert f"leads to {project / 'data'}, which is gone" in found["links"].found


def test_a_copy_that_followed_the_links(root, look):
    (root / "links" / "data-1").unlink()
    (root / "links" / "data-1").mkdir()
    assert states(look(workspace)) == {"links": "problem"}

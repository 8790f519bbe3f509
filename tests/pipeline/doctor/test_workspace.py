"""Workspaces that are not whole."""

import shutil

import pytest

from pipeline.doctor import workspace
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


def test_a_link_that_leads_nowhere(root, look, project):
    (project / "data").rename(project / "elsewhere")
    found = look(workspace)
    assert states(found) == {"links": "warning"}
    assert f"leads to {project / 'data'}, which is gone" in found["links"].found


def test_a_copy_that_followed_the_links(root, look):
    (root / "links" / "data-1").unlink()
    (root / "links" / "data-1").mkdir()
    assert states(look(workspace)) == {"links": "problem"}

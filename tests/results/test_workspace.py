import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from core import config as configs
from core import disk
from core.errors import DexmatchError
from results.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(root=tmp_path / "runs" / "mine", serving=tmp_path / "serving" / "mine")


def test_the_configuration_says_where(tmp_path):
    settings = configs.load(None, [f"run.workspace={tmp_path}", "run.name=mine"])
    workspace = Workspace.from_config(settings)
    assert workspace.root == tmp_path / "mine"
    assert workspace.serving.name == "mine"
    assert workspace.metadata.parent == workspace.root


def test_two_runs_do_not_share_a_workspace(workspace):
    with workspace.locked():
        with pytest.raises(DexmatchError, match="another run is at work"), workspace.locked():
            pass
    with workspace.locked():
        pass


def test_temporary_files_are_kept_inside_and_cleared(workspace):
    workspace.root.mkdir(parents=True)
    before = tempfile.gettempdir()
    with workspace.scratch():
        made = Path(tempfile.mkdtemp())
        assert workspace.root in made.parents
    assert not made.exists()
    assert tempfile.gettempdir() == before


def test_what_a_killed_run_left_is_removed(workspace):
    left = workspace.root / ".tmp" / "beam-temp"
    left.mkdir(parents=True)
    with workspace.scratch():
        assert not left.exists()


def test_who_has_entered_calls_it_by_a_name_that_never_changes(workspace, tmp_path):
    odd = Workspace(root=tmp_path / "prö [v2]*", serving=workspace.serving)
    before = Path.cwd()
    for each in (workspace, odd):
        with each.locked(), each.entered():
            assert each.inside(each.metadata) == "/proc/self/cwd/metadata.sqlite"
            Path(each.inside(each.metadata)).write_text(each.root.name)
            child = f"print(open({each.inside(each.metadata)!r}).read())"
            said = subprocess.run([sys.executable, "-c", child], capture_output=True, check=True)
            assert said.stdout.decode().strip() == each.root.name
        assert each.metadata.read_text() == each.root.name
        assert Path.cwd() == before


def test_what_is_imported_from_the_current_folder_still_is(workspace, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with workspace.locked(), workspace.entered():
        assert importlib.util.find_spec("only_here")


@pytest.mark.parametrize("taken", ["runs", "runs/mine", "serving", "serving/mine"])
def test_a_file_where_a_folder_is_wanted(workspace, tmp_path, taken):
    path = tmp_path / taken
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    told = f"{path}.*: (a file stands where a folder is wanted|Not a directory)"
    with pytest.raises(DexmatchError, match=told):
        with disk.explained(), workspace.locked():
            pass


def test_where_the_system_has_no_such_name_a_workspace_goes_by_its_path(workspace, monkeypatch):
    """As on macOS."""
    monkeypatch.setattr("results.workspace.INSIDE", "/nowhere/self/cwd")
    assert workspace.inside(workspace.metadata) == str(workspace.metadata)

import tempfile
from pathlib import Path

import pytest

from core import config as configs
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

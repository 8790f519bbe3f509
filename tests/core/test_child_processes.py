"""Python processes that we start find this package, and nothing in the current folder."""

import contextlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from core import child_processes
from core.child_processes import child_environment, child_environment_applied

ROOT = Path(__file__).parents[2]


def file_of(module, environment, folder):
    """The file that a child of Python, started in a folder, takes for a module."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}; print({module}.__file__)"],
        env={"PATH": os.defpath, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())


@pytest.mark.parametrize("of_the_user", [None, "", ":", "/nowhere:"])
def test_a_child_finds_this_package_in_anybodys_folder(monkeypatch, foreign_folder, of_the_user):
    if of_the_user is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", of_the_user)
    assert file_of("serving", child_environment(), foreign_folder).parents[1] == ROOT
    assert file_of("pickle", child_environment(), foreign_folder).parent != foreign_folder


def test_what_the_user_has_on_the_path_stays_there(monkeypatch, tmp_path):
    (tmp_path / "of_the_user.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert file_of("of_the_user", child_environment(), ROOT).parent == tmp_path


def test_installed_packages_do_not_come_before_the_standard_library(monkeypatch):
    monkeypatch.setattr(child_processes, "_ROOT", Path(sysconfig.get_path("purelib")))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert child_environment()["PYTHONPATH"] == ""


def test_the_environment_is_given_back(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    before = dict(os.environ)
    with contextlib.suppress(KeyError), child_environment_applied():
        assert os.environ["PYTHONPATH"].endswith(":/mine")
        raise KeyError
    assert dict(os.environ) == before


def test_it_holds_until_the_last_one_has_left(monkeypatch):
    """Two threads need not leave in the order in which they came."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    first, second = child_environment_applied(), child_environment_applied()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ["PYTHONSAFEPATH"] == "1"
    second.__exit__(None, None, None)
    assert "PYTHONSAFEPATH" not in os.environ

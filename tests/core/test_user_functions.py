import importlib
import os
import subprocess
import sys

import pytest

from core.child_processes import child_environment
from core.errors import DexmatchError
from core.user_functions import describe, importable, load_function

NAME = "catalog.model.build"
NAMED = {"model.build": NAME}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A function: files by name, to the folder that holds them and is the current one."""

    def make(**files):
        for name, text in {"__init__": "", **files}.items():
            path = tmp_path / "catalog" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    monkeypatch.chdir(tmp_path)
    return make


def loaded(folder, *parameters):
    with importable(folder, NAMED):
        return load_function("model.build", NAME, parameters)


def test_a_function_is_imported_and_may_import_its_neighbours(project):
    folder = project(
        model="from catalog.parts import PART\ndef build(size):\n    return PART * size\n",
        parts="PART = 2\n",
    )
    assert loaded(folder, "size")(3) == 6


def test_what_was_imported_is_forgotten_so_that_the_next_run_reads_it_anew(project):
    folder = project(model="def build():\n    return 1\n")
    path = list(sys.path), os.environ.get("PYTHONPATH")
    assert loaded(folder)() == 1
    assert "catalog" not in sys.modules and "catalog.model" not in sys.modules
    assert (sys.path, os.environ.get("PYTHONPATH")) == path
    project(model="def build():\n    return 'another'\n")
    assert loaded(folder)() == "another"


def test_what_was_imported_before_is_read_anew(project, monkeypatch):
    """As in a notebook, in the project's folder."""
    folder = project(model="def build():\n    return 1\n")
    monkeypatch.syspath_prepend(folder)
    assert importlib.import_module("catalog.model").build() == 1
    project(model="def build():\n    return 'another'\n")
    assert loaded(folder)() == "another"


def test_nothing_else_of_the_folder_is_imported_in_this_process_or_a_child(
    project, foreign_folder, monkeypatch
):
    """Not even `data/` or `pickle.py`."""
    folder = project(model="import pickle, data\ndef build():\n    return data.__doc__\n")
    for each in foreign_folder.iterdir():
        (folder / each.name).symlink_to(each)
    with importable(folder, NAMED):
        assert load_function("model.build", NAME, ())()
        program = f"import multiprocessing, core, {NAME.rpartition('.')[0]} as m; print(m.build())"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **child_environment()},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "data set" in done.stdout


@pytest.mark.parametrize("name", ["json.decoder.py_scanstring", "json.decoder.scanstring"])
def test_a_package_that_is_installed_needs_no_folder(tmp_path, name):
    with importable(tmp_path, {"model.build": name}):
        assert load_function("model.build", name, ("text", "end"))


@pytest.mark.parametrize(
    ("made", "name", "told"),
    [
        ([], "catalog.model.build", r"there is no package catalog in .*; run\.code names"),
        (["catalog.py"], "catalog.model.build", r"catalog\.py must lie in a package; move it"),
        (["catalog/model.py"], "catalog.model.build", r"catalog: is no package; put an empty"),
        (["json/__init__.py"], "json.model.build", "json is also the name of an installed"),
        (["modules/__init__.py"], "modules.mine.build", "modules is also the name of an inst"),
        (["sys/__init__.py"], "sys.mine.build", "sys is also the name of an installed package"),
    ],
)
def test_a_package_that_cannot_be_meant(tmp_path, made, name, told):
    for file in made:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(DexmatchError, match=told), importable(tmp_path, {"model.build": name}):
        pass


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def build(size:\n", r"^model\.build: catalog/model\.py, line 1: "),
        ("x = 1\n", r"build is not there in catalog/model\.py$"),
        ("build = 1\n", r"build is no function in catalog/model\.py$"),
        ("def build():\n    pass\n", r"must take \(size\): too many positional arguments$"),
        ("def build(a, b):\n    pass\n", r"must take \(size\): missing a required argument: 'b'$"),
        ("import nothing_like_it\n", r"catalog/model\.py, line 1: ModuleNotFoundError: No module"),
        ("x = 1\nx / 0\n", r"^model\.build: catalog/model\.py, line 2: ZeroDivisionError: "),
        ("raise SystemExit\n", r"catalog/model\.py, line 1: SystemExit$"),
        ("import catalog.other\n", r"catalog/other\.py, line 2: ValueError: first$"),
        (None, r"^model\.build = 'catalog\.model\.build': there is no module catalog\.model$"),
    ],
)
def test_a_function_that_cannot_be_had_is_told_in_one_line(project, text, told):
    folder = project(other="\nraise ValueError('first\\nsecond')\n")
    if text is not None:
        project(model=text)
    with pytest.raises(DexmatchError, match=told) as raised:
        loaded(folder, "size")
    assert "\n" not in str(raised.value)


def test_an_error_is_told_by_the_last_line_of_the_users_own(project):
    folder = project(model="import json\ndef build():\n    return json.loads('{')\n")
    with importable(folder, NAMED):
        build = load_function("model.build", NAME, ())
        try:
            build()
        except ValueError as error:
            told = describe(error, NAME)
    assert told.startswith("catalog/model.py, line 3: JSONDecodeError: Expecting property")

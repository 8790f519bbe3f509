"""Recipes are found by name, from any folder."""

from pathlib import Path

import pytest

from core.errors import DexmatchError
from recipes import file_or_recipe, recipe_names

FOLDER = Path(__file__).parents[2] / "recipes"


def test_the_names_are_those_of_the_files():
    assert recipe_names() == sorted(path.stem for path in FOLDER.glob("*.toml"))
    assert "demo" in recipe_names()


@pytest.mark.parametrize("name", recipe_names())
def test_a_name_is_a_recipe_from_any_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # Such as the data set of that name.
    assert file_or_recipe(Path(name)) == FOLDER / f"{name}.toml"


def test_a_file_here_comes_before_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").touch()
    assert file_or_recipe(Path("demo")) == Path("demo")


@pytest.mark.parametrize("path", ["demo.toml", "recipes/demo", "recipes/demo.toml", "/demo"])
def test_a_path_stays_one(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    assert file_or_recipe(Path(path)) == Path(path)


def test_an_unknown_name_is_told_with_those_that_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = "--config demos: no such file, and no such recipe; the recipes are demo, "
    with pytest.raises(DexmatchError, match=message):
        file_or_recipe(Path("demos"))

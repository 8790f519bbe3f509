"""Recipes are found by name, from any folder."""

from pathlib import Path

import pytest

from core import config as configs
from core.config import file_or_recipe, recipe_names
from core.errors import DexmatchError

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
    message = "demos: no such file, and no such recipe; the recipes are demo, "
    with pytest.raises(DexmatchError, match=message):
        file_or_recipe(Path("demos"))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_extends_a_recipe_and_keeps_its_own_keys(tmp_path):
    path = write(
        tmp_path / "mine.toml", 'extends = "seed"\n[trainer]\nepochs = 3\n[card]\nowner = "me"\n'
    )
    mine, seed = configs.load(path), configs.load(file_or_recipe(Path("seed")))
    assert mine.trainer.epochs == 3
    assert mine.card.owner == "me"
    assert mine.model == seed.model
    assert mine.trainer == seed.trainer.model_copy(update={"epochs": 3})
    assert configs.load(path, ["trainer.epochs=4"]).trainer.epochs == 4


def test_a_file_is_looked_for_beside_the_one_that_extends_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    write(tmp_path / "seed", "[trainer]\nepochs = 1\n")  # Here, and not there.
    write(tmp_path / "sub" / "base.toml", 'extends = "seed"\n[trainer]\nbatch_size = 9\n')
    path = write(tmp_path / "sub" / "mine.toml", 'extends = "base.toml"\n')
    found = configs.load(path).trainer
    assert (found.epochs, found.batch_size) == (30, 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "seeds"', r"mine\.toml: extends: seeds: no such file, and no such recipe"),
        ('extends = "gone.toml"', r"gone\.toml: cannot be read"),
        ('extends = "mine.toml"', r"mine\.toml: extends = 'mine\.toml': then .* extend itself"),
        ("extends = 3", r"mine\.toml: extends must be a file or the name of a recipe"),
        ('trainer = 3\nextends = "seed"', r"trainer: "),
    ],
)
def test_what_cannot_be_extended_is_told_in_one_line(tmp_path, text, message):
    with pytest.raises(DexmatchError, match=message) as raised:
        configs.load(write(tmp_path / "mine.toml", text))
    assert "\n" not in str(raised.value)

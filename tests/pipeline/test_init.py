"""`dexmatch init`, and the configuration that commands find in a project's folder."""

import json
import re
import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core import config as configs
from core.config import recipe_names
from core.errors import DexmatchError
from data import dataset
from pipeline import cli, project
from pipeline.commands.run import load_config

FILES = {"dexmatch.toml", "README.md", ".gitignore"}
MODULES = {f"shop/{name}.py" for name in ("__init__", "model", "pipeline", "preprocessing")}


def init(*arguments):
    return CliRunner().invoke(
        cli.app, ["init", *map(str, arguments)], prog_name="dexmatch", catch_exceptions=True
    )


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_project_is_made_and_what_comes_next_is_told(here):
    done = init("shop")
    assert done.exit_code == 0
    assert files(here / "shop") == FILES
    assert done.stderr.splitlines() == [
        *(f"made shop/{name}" for name in (".gitignore", "README.md", "dexmatch.toml")),
        "Next: cd shop && dexmatch run --data DATASET",
    ]
    assert len((here / "shop" / "README.md").read_text().splitlines()) == 6
    assert "/runs/" in (here / "shop" / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("recipe", recipe_names())
def test_the_file_changes_nothing_as_it_is_and_all_of_its_keys_are_valid(here, recipe):
    init("shop", "--recipe", recipe)
    path = here / "shop" / "dexmatch.toml"
    made, meant = configs.load(path), configs.load(configs.file_or_recipe(Path(recipe)))
    assert made == meant.model_copy(update={"run": made.run})
    assert made.run == meant.run.model_copy(update={"name": "shop"})
    text, count = re.subn(r"(?m)^#(?=[^ ]|    \{)", "", path.read_text())
    assert count > 20
    path.write_text(text)
    found = configs.load(path)
    dataset = meant.data.dataset or "datasets/mine"
    expected = made.data.model_copy(update={"dataset": dataset})
    assert found == made.model_copy(update={"data": expected})


def test_a_template_is_wired(here):
    assert init("shop", "--template").exit_code == 0
    assert files(here / "shop") == FILES | MODULES
    assert configs.load(here / "shop" / "dexmatch.toml").user_functions == {
        "model.build": "shop.model.build",
        "caption.normalize": "shop.preprocessing.normalize",
        "run.components": "shop.pipeline.components",
    }
    for name in MODULES:
        ours = Path(project.template.__file__).parent / Path(name).name
        assert (here / "shop" / name).read_text() == ours.read_text()


@pytest.mark.parametrize(
    ("arguments", "package"),
    [(("my-shop",), "my_shop"), (("json", "--package", "shop"), "shop")],
)
def test_the_package_has_a_name_that_python_takes(here, arguments, package):
    assert init(*arguments, "--template").exit_code == 0
    assert (here / arguments[0] / package / "model.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["shop", "--recipe", "demos"], "--recipe demos: no such recipe; they are demo, "),
        (["shop", "--package", "shop"], "--package names what --template writes"),
        (["2shop", "--template"], "2shop: no name for a package; name another, of ASCII"),
        (["class", "--template"], "class: no name for a package"),
        (["büro", "--template"], "büro: no name for a package; name another, of ASCII"),
        (["json", "--template"], "json: is also the name of an installed package; name"),
        (["modules", "--template"], "modules: is also the name of an installed package"),
        (["shop", "--data", "nowhere"], "nowhere: not a dexmatch data set"),
    ],
)
def test_a_mistake_makes_nothing(here, arguments, told):
    done = init(*arguments)
    assert isinstance(done.exception, DexmatchError)
    assert told in str(done.exception)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["dexmatch.toml", "shop/model.py"])
def test_a_file_of_the_user_stays_and_nothing_is_made(here, name):
    path = here / "shop" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    done = init("shop", "--template")
    assert str(done.exception) == f"shop/{name}: exists already, and is not overwritten"
    assert files(here / "shop") == {name}
    assert path.read_text() == "mine"


def test_another_readme_stays_and_the_rest_is_made(here):
    (here / "README.md").write_text("mine")
    done = init("--template", "--package", "shop")
    assert done.exit_code == 0
    assert (here / "README.md").read_text() == "mine"
    assert "README.md: was there already, and is left as it is" in done.stderr
    assert files(here) == FILES | MODULES


@pytest.mark.parametrize("survivors", range(7))
def test_one_that_was_killed_is_simply_started_again(here, monkeypatch, survivors):
    """The configuration comes last, so there is no half project that could be run."""
    write, written = project.write_atomically, []

    def killed(path, content):
        if len(written) == survivors:
            raise KeyboardInterrupt
        written.append(path)
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(project, "write_atomically", killed)
        init("shop", "--template")
    assert not (here / "shop" / "dexmatch.toml").exists()
    assert len(files(here / "shop")) == survivors
    assert init("shop", "--template").exit_code == 0
    assert files(here / "shop") == FILES | MODULES


def test_a_second_time_there_is_nothing_to_make(here):
    init("shop")
    assert init("shop").stderr.splitlines()[0] == "nothing to make: all files are there"


def test_the_data_set_is_named_from_the_projects_folder(here, monkeypatch):
    there = types.SimpleNamespace(path=here / "sets" / "mine")
    monkeypatch.setattr(dataset, "load", {Path("sets/mine"): there}.__getitem__)
    done = init("shop", "--data", "sets/mine")
    assert done.stderr.splitlines()[-1] == "Next: cd shop && dexmatch run"
    assert configs.load(here / "shop" / "dexmatch.toml").data.dataset == "../sets/mine"


OWN = ["model.build=shop.model.build"]


def shown(capsys, *arguments):
    settings = load_config(*arguments)
    return settings, capsys.readouterr().err


def test_commands_take_the_projects_configuration_and_say_so(here, capsys):
    assert shown(capsys, None, None)[1] == ""
    init(".")
    settings, said = shown(capsys, None, ["trainer.epochs=3"])
    assert said == "configuration: dexmatch.toml\n"
    assert (settings.image.size, settings.trainer.epochs) == (224, 3)
    # `config show` is to print what holds in every folder.
    assert settings.run.code == ""
    assert shown(capsys, None, OWN)[0].run.code == "."


def test_another_configuration_is_taken_instead(here, capsys):
    init("shop")
    (here / "dexmatch.toml").write_text("[trainer]\nepochs = 2\n")
    settings, said = shown(capsys, Path("shop/dexmatch.toml"), OWN)
    assert (said, settings.trainer.epochs, settings.run.code) == ("", 6, "shop")
    settings, said = shown(capsys, Path("demo"), OWN)
    assert (said, settings.trainer.epochs, settings.run.code) == ("", 12, ".")


def test_the_folder_of_the_code_may_be_told(here, capsys):
    (here / "dexmatch.toml").write_text(f"[run]\ncode = {json.dumps('lib')}\n")
    assert shown(capsys, None, None)[0].run.code == "lib"

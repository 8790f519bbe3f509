import errno
import json
import os
import subprocess
import sys
import tomllib

import pytest
from typer.testing import CliRunner

from core import config as configs
from pipeline import cli

PROGRAM = "from pipeline.cli import main; main()"


def dexmatch(*arguments, cwd=None, columns=160):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": str(columns), "TERM": "dumb"},
    )


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["init"],
        ["run"],
        ["runs"],
        ["versions"],
        ["rollback"],
        ["serve"],
        ["slices"],
        ["compare"],
        ["report"],
        ["monitor"],
        ["predict"],
        ["search"],
        ["tag"],
        ["data"],
        ["data", "import"],
        ["data", "demo"],
        ["data", "pokemon"],
        ["doctor"],
    ],
)
def test_help_teaches(command):
    done = CliRunner().invoke(cli.app, [*command, "--help"], prog_name="dexmatch")
    assert done.exit_code == 0
    assert "Usage: dexmatch" in done.stdout
    if command not in ([], ["data"]):
        assert f"dexmatch {' '.join(command)}" in done.stdout.split("Examples")[1]


def test_help_loads_no_heavy_library():
    program = (
        "import sys\nfrom pipeline.cli import app\n"
        "try:\n    app(['run', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('tensorflow', 'tfx', 'apache_beam', 'keras') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_configuration_is_shown_as_toml():
    done = dexmatch("config", "show", "--set", "trainer.epochs=3")
    assert tomllib.loads(done.stdout)["trainer"]["epochs"] == 3


def test_a_recipe_is_found_by_name_from_any_folder(tmp_path):
    done = dexmatch("config", "show", "--config", "demo", "--set", "trainer.epochs=3", cwd=tmp_path)
    shown = tomllib.loads(done.stdout)
    assert (shown["data"]["test_buckets"], shown["trainer"]["epochs"]) == (2, 3)


def test_every_key_is_explained():
    """And stands there whole, to be copied or searched for, however narrow the terminal is."""
    done = dexmatch("config", "show", "--keys", columns=80)
    shown = [line.split()[0] for line in done.stdout.splitlines() if line.split()]
    for section, field in configs.Config.model_fields.items():
        for key in field.annotation.model_fields:
            assert f"{section}.{key}" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config", "show", "--set", "trainer.epoch=3"], "did you mean epochs?"),
        (["run"], "data.dataset is not set"),
        (["run", "--data", "nowhere"], "nowhere: not a dexmatch data set"),
        (["run", "--data", "x", "--orchestrator", "airflow"], "run.orchestrator"),
        (["run", "--data", "x", "--runner", "flink"], "--flink-master HOST:PORT"),
        (["run", "--data", "x", "--flink-master", "f:1"], "add --runner flink"),
        (["run", "--data", "x", "--runner", "dataflow"], "dexmatch compile --target vertex"),
        (["run", "--config", "no.toml"], "no.toml: cannot be read"),
        (["run", "--config", "demos"], "the recipes are demo, pokemon, pretrained, seed"),
    ],
)
def test_a_mistake_costs_one_line_and_status_2(tmp_path, arguments, message):
    done = dexmatch(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_no_runs_yet(tmp_path):
    done = dexmatch("runs", cwd=tmp_path)
    assert done.returncode == 0
    assert "no runs yet" in done.stderr
    assert json.loads(dexmatch("runs", "--json", cwd=tmp_path).stdout) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/proc/version"), "belongs to root"),
        (OSError(errno.ENOSPC, "No space left on device", "/proc/version"), "MB are free"),
    ],
)
def test_what_cannot_be_written_costs_one_line_and_status_2(monkeypatch, capsys, error, told):
    def fails(**_):
        raise error

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: /proc")
    assert told in line


@pytest.mark.parametrize("arguments", [["runs"], ["data", "import", "pairs.csv", "--out", "x"]])
def test_a_folder_that_is_gone_costs_one_line(tmp_path, arguments):
    folder = tmp_path / "gone"
    folder.mkdir()
    program = f"import os; os.rmdir({str(folder)!r}); {PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "Error: the current folder was removed; change to another one\n"


@pytest.mark.slow
def test_a_name_that_is_not_in_utf_8_costs_one_line(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "pairs.csv").write_text("image,caption\na.png,a red bird\n", encoding="utf-8")
    done = dexmatch("data", "import", "pairs.csv", "--out", "x", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("the name is not in UTF-8; rename it")
    assert "Traceback" not in done.stderr


def test_other_errors_keep_their_traces(monkeypatch):
    def fails(**_):
        raise KeyError("x")

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(KeyError):
        cli.main()

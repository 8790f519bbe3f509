"""`dexmatch data` as a user calls it."""

import csv
import json
import os
import re
import socket
import subprocess
import time

import pytest
from PIL import Image
from typer.testing import CliRunner

from core.errors import DexmatchError
from data import dataset, importer
from data.columns import Columns
from pipeline.cli import data_commands


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    lines = ["image,caption,colour,[odd]"]
    for number in range(4):
        Image.new("RGB", (20, 10 + number), (number, 0, 0)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,picture [{number}],c{number % 2},[x]")
    lines.append("missing.png,x,c0,y")
    (folder / "captions.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def imported(source, tmp_path_factory):
    """One real import; gives the folder and what was printed."""
    out = tmp_path_factory.mktemp("sets") / "out[1]"
    result = call("import", source, "--out", out, "--max-rejects", "20%", "--workers", 1)
    assert result.exit_code == 0, result.output
    return out, result


def call(*arguments):
    return CliRunner().invoke(data_commands.app, [str(argument) for argument in arguments])


def flat(text):
    """The words of a table without its lines."""
    return " ".join(text.split())


def test_import_prints_guesses_summary_and_next_command(imported):
    out, result = imported
    assert "image: column 'image'" in result.stderr
    assert "--group-column" in result.stderr
    assert "column '[odd]' is stored as '_odd_'" in result.stderr
    assert f"Next: dexmatch run --data '{out}'" in result.stderr  # The shell has patterns too.
    assert "rejects.csv" in result.stderr
    text = flat(result.stdout)
    for words in ("rows read 5", "imported 4", "rejected 1", "file_not_found 1", "pictures 4"):
        assert words in text
    assert "colour bytes 4 c0 (2), c1 (2)" in text
    assert "[x] (4)" in text


def test_an_import_by_beam_is_the_same_and_as_quiet(source, imported, tmp_path, capfd):
    arguments = "import", source, "--out", tmp_path / "out", "--max-rejects", "20%"
    result = call(*arguments, "--beam-arg=--direct_num_workers=1")
    assert result.exit_code == 0, result.output
    local, before = imported
    # Without paths, and without the progress of a machine that is slow.
    said, said_before = (
        re.sub(r"(?m)^(.*/|.*%\)|.*\.\.\.$).*\n", "", each.stderr) for each in (result, before)
    )
    assert said == said_before
    for path in local.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    assert capfd.readouterr().err == ""


def test_workers_are_beams_business_with_beam(source, tmp_path):
    result = call("import", source, "--out", tmp_path, "--workers", 2, "--beam-arg=--runner=Foo")
    assert "--workers is for processes of this machine" in str(result.exception)


def test_workers_of_a_cluster_are_started_by_a_program_beside_the_shards(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(importer, "import_pairs", lambda *_, **options: seen.update(options))
    monkeypatch.setattr(data_commands, "tell_import", lambda _: None)
    with socket.create_server(("localhost", 0)) as server:
        endpoint = f"localhost:{server.getsockname()[1]}"
        result = call(
            *("import", "source", "--out", tmp_path / "out", "--runner", "flink"),
            f"--beam-arg=--job_endpoint={endpoint}",
        )
    assert result.exit_code == 0, result.output
    arguments = seen["beam_options"](tmp_path)
    program = tmp_path / "worker"
    assert os.access(program, os.X_OK)
    assert "pipeline.beam.worker" in program.read_text(encoding="utf-8")
    assert "--runner=FlinkRunner" in arguments
    assert f"--environment_config={json.dumps({'command': str(program)})}" in arguments
    assert arguments[-1] == f"--job_endpoint={endpoint}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runner", "flink"], "flink needs the address of the cluster: --flink-master HOST:PORT"),
        (["--runner", "dataflow"], "its workers reach no folder of this machine"),
        (["--runner", "storm"], "run.runner"),
        (["--flink-master", "a:1"], "the runner is direct; add --runner flink"),
    ],
)
def test_runners_that_an_import_cannot_have(options, message, tmp_path):
    result = call("import", "source", "--out", tmp_path / "out", *options)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.slow
def test_pictures_are_drawn_and_imported_in_anybodys_folder(
    tmp_path, dexmatch_command, foreign_folder
):
    """No worker process imports anything of what is there."""
    demo, again = tmp_path / "demo", tmp_path / "again"
    pictures = tmp_path / "demo-pictures" / "captions.csv"
    for arguments in (
        ["demo", "--count", "50", "--out", demo],
        ["import", pictures, "--out", again, "--workers", "2"],
    ):
        done = subprocess.run(
            [*dexmatch_command, "data", *map(str, arguments)],
            cwd=foreign_folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert dataset.load(again).examples == dataset.load(demo).examples == 50


def test_describe(imported):
    result = call("describe", imported[0])
    text = flat(result.stdout)
    assert "picture height 10 10 11 13 13" in text
    assert "words per caption 2 2 2 2 2" in text
    assert "0.png picture [0]" in text


def test_describe_as_json(imported):
    result = call("describe", imported[0], "--json")
    assert json.loads(result.stdout)["imported"] == 4
    assert result.stdout == (imported[0] / "dataset.json").read_text()


def test_describe_says_what_is_no_data_set(tmp_path):
    result = call("describe", tmp_path)
    assert isinstance(result.exception, DexmatchError)


def test_import_passes_every_option_on(monkeypatch, tmp_path):
    seen = {}

    def stop(source, out, **options):
        seen.update(options, source=source, out=out)
        raise KeyboardInterrupt

    monkeypatch.setattr(importer, "import_pairs", stop)
    result = call(
        *("import", "source", "--out", tmp_path, "--format", "csv", "--image-folder", tmp_path),
        *("--image-column", "a", "--caption-column", "b", "--id-column", "c"),
        *("--group-column", "d", "--hard-caption-column", "e"),
        *("--max-rejects", "7", "--workers", "3", "--overwrite", "--type", "a=b=float"),
        *("--allow-outside-paths", "--keep-wordless-captions"),
    )
    assert seen == {
        "source": "source",
        "out": tmp_path,
        "format_name": "csv",
        "columns": Columns("a", "b", "c", "d", "e"),
        "types": {"a=b": "float"},
        "allow_outside_paths": True,
        "keep_wordless_captions": True,
        "image_folder": tmp_path,
        "max_rejects": "7",
        "num_workers": 3,
        "beam_options": None,
        "overwrite": True,
    }
    assert result.exit_code == 130
    assert result.stderr == "Stopped. Nothing was imported.\n"


@pytest.mark.parametrize("text", ["price", "price=number", "=x"])
def test_a_type_is_written_name_equals_type(text, tmp_path):
    result = call("import", "source", "--out", tmp_path, "--type", text)
    assert isinstance(result.exception, DexmatchError)
    assert f"--type {text}: write NAME=TYPE" in str(result.exception)


@pytest.mark.parametrize("command", ["import", "describe", "pokemon"])
def test_help_has_examples(command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"dexmatch data {command} " in result.stdout


@pytest.fixture(scope="module")
def made(test_module):
    return test_module("data/pokeapi_server.py")


@pytest.fixture
def pokeapi(made):
    with made.running() as server:
        made.fill(server)
        yield server


def test_pokemon_are_fetched_and_imported(pokeapi, made, tmp_path):
    pokeapi.faults["/art/2.png"] = [made.answering(b"", 404)]
    out = tmp_path / "sets" / "out"
    options = ("--out", out, "--api", pokeapi.api, "--language", "ko", "--max-rejects", "1")
    result = call("pokemon", *options)
    assert result.exit_code == 0, result.output
    text = flat(result.stdout)
    for words in ("rows read 3", "imported 2", "rejected 1", "not_fetched 1", "groups 2"):
        assert words in text
    assert "source Pokémon in Korean (pokeapi)" in text
    assert "no flavor text in Korean for 1 species" in result.stderr
    assert f"Rejected rows: {out / 'rejects.csv'}" in result.stderr
    assert "with --overwrite asks for them once more" in result.stderr
    assert "for study only" in result.stderr
    assert f"Next: dexmatch run --data {out} --config pokemon" in result.stderr
    with open(out / "rejects.csv", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["detail"] == f"{pokeapi.origin}/art/2.png: answered with HTTP status 404"
    (picture,) = out.parent.glob("pokeapi/*/images/0001.png")
    assert picture.read_bytes() == made.picture(1)


def test_of_pokemon_nothing_is_fetched_that_could_not_be_imported(pokeapi, tmp_path):
    (tmp_path / "file").touch()
    api = ("--api", pokeapi.api)
    for options, message in (
        (("--out", tmp_path / "file"), "a file stands there"),
        (("--out", tmp_path), "holds file, which is no part of a data set"),
        (("--out", tmp_path / "pokeapi"), "holds what is fetched"),
        (("--out", tmp_path / "x", "--cache", tmp_path / "x" / "y"), "holds what is fetched"),
        (("--out", tmp_path / "x", "--max-rejects", "all"), "--max-rejects all: write a share"),
        (("--out", tmp_path / "x", "--api", "pokeapi"), "--api pokeapi: no address"),
    ):
        result = call("pokemon", *api, *options)
        assert isinstance(result.exception, DexmatchError), result.output
        assert message in str(result.exception)
    assert not pokeapi.asked
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_pokemon_without_a_network_cost_one_line(tmp_path, dexmatch_command, free_port):
    done = subprocess.run(
        [*dexmatch_command, "data", "pokemon", "--api", f"http://127.0.0.1:{free_port}/api/v2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: 127.0.0.1: cannot be reached (Connection refused); check")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_the_pokemon_that_were_fetched(pokeapi, made, tmp_path, until_stopped):
    # Every time: a busy machine may have asked again before Ctrl-C comes.
    pokeapi.faults["/art/2.png"] = [made.slow] * 9
    command = "data", "pokemon", "--api", pokeapi.api, "--out", "set"
    deadline = time.monotonic() + 60
    with until_stopped(*command, cwd=tmp_path) as running:
        while not (pokeapi.asked["/art/2.png"] and list(tmp_path.rglob("0001.png"))):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert running.status == 130
    kept = tmp_path / "pokeapi"
    last = f"Stopped. What was fetched is kept in {kept}; the same command goes on from there."
    assert running.rest.splitlines()[-1] == last
    assert "Traceback" not in running.rest
    assert [path.name for path in tmp_path.iterdir()] == ["pokeapi"]
    assert len(list(kept.rglob("0001.png"))) == 1
    assert not list(kept.rglob("*.part"))

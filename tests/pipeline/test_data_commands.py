"""`dexmatch data` as a user calls it."""

import json
import subprocess

import pytest
from PIL import Image
from typer.testing import CliRunner

from core.errors import DexmatchError
from data import dataset, importer
from data.columns import Columns
from pipeline.commands.data import app


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
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


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
        "overwrite": True,
    }
    assert result.exit_code == 130
    assert result.stderr == "Stopped. Nothing was imported.\n"


@pytest.mark.parametrize("text", ["price", "price=number", "=x"])
def test_a_type_is_written_name_equals_type(text, tmp_path):
    result = call("import", "source", "--out", tmp_path, "--type", text)
    assert isinstance(result.exception, DexmatchError)
    assert f"--type {text}: write NAME=TYPE" in str(result.exception)


@pytest.mark.parametrize("command", ["import", "describe"])
def test_help_has_examples(command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"dexmatch data {command} " in result.stdout

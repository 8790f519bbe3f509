"""`dexmatch predict` as a user calls it."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from core.errors import DexmatchError
from pipeline.cli import app
from pipeline.commands.model_options import NOT_ALL_JUDGED

pytestmark = pytest.mark.slow

PROGRAM = "from pipeline.cli import main; main()"


@pytest.fixture(scope="module")
def album(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("album")
    for name in ("rgb.png", "grey.png"):
        (folder / name).write_bytes(pictures[name])
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def predict(tiny_models):
    def call(*arguments, **options):
        words = ["predict", *map(str, arguments), "--model", str(tiny_models.first)]
        return CliRunner().invoke(app, words, **options)

    return call


def test_json_tells_every_pair_and_why_one_cannot_be_judged(predict, album, tiny, pictures):
    done = predict(album, "--caption", "a red bird", "--caption", "", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    names = ["broken.png", "grey.png", "rgb.png"]
    assert [(row["picture"], row["caption"]) for row in rows] == [
        (str(album / name), caption) for name in names for caption in ("a red bird", "")
    ]
    reason = "no picture format that dexmatch reads"
    for row in rows[:2]:
        assert (row["probability"], row["match"], row["reason"]) == (None, None, reason)
    for row in rows[3::2]:
        assert (row["probability"], row["match"]) == (None, None)
        assert row["reason"] == "the caption holds no word"
    found = [row["probability"] for row in rows[2::2]]
    expected = tiny.score([pictures["grey.png"], pictures["rgb.png"]], ["a red bird"] * 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "reason" not in rows[2]
    assert done.exit_code == NOT_ALL_JUDGED
    assert f"cannot be judged: {album / 'broken.png'} ({reason})" in done.stderr
    assert 'cannot be judged: caption "" (holds no word)' in done.stderr


def test_a_caption_that_is_cut_is_told(predict, album):
    arguments = ("--caption", "red bird " * 30, "--caption", "red bird " * 24)
    done = predict(album / "rgb.png", *arguments)
    assert done.exit_code == 0
    (line,) = (line for line in done.stderr.splitlines() if "caption.max_tokens = 48" in line)
    assert "60 words" in line


def test_csv_of_captions_from_a_file_and_pictures_from_stdin(predict, album, tmp_path):
    file = tmp_path / "captions.txt"
    file.write_bytes('\ufeffa red bird, so "big"\r\n\r\n  grün\n'.encode())
    names = f"{album / 'rgb.png'}\n\n{album / 'grey.png'}\n"
    done = predict("-", "--captions", file, "--csv", "--threshold", "0", input=names)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["caption"] for row in rows] == ['a red bird, so "big"', "grün"] * 2
    assert rows[0]["picture"] == str(album / "rgb.png")
    assert all(0 < float(row["probability"]) < 1 for row in rows)
    assert {row["match"] for row in rows} == {"yes"}
    assert "cannot be judged" not in done.stderr


def test_the_table_fits_the_terminal_and_names_all(predict, album):
    caption = "a red bird with " + "very " * 30 + "long feathers [bold]"
    images = (album / "rgb.png", album / "broken.png")
    done = predict(*images, "--caption", caption, "--threshold", "1", env={"COLUMNS": "80"})
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "[bold]" in done.stdout
    assert "no match" in done.stdout
    # A picture that was not judged has no percentage.
    assert done.stdout.count("%") == 1
    assert "cannot" in done.stdout


def test_each_picture_and_each_caption_is_encoded_once(predict, album, monkeypatch):
    from serving.client.in_process import InProcess

    asked = []
    ask = InProcess._predict

    def noted(self, signature, inputs, output, deadline):
        asked.append((signature, len(next(iter(inputs.values())))))
        return ask(self, signature, inputs, output, deadline)

    monkeypatch.setattr(InProcess, "_predict", noted)
    captions = [word for number in range(5) for word in ("--caption", f"bird {number}")]
    predict(album, *captions, "--json")
    assert sorted(asked) == [("encode_caption", 5), ("encode_image", 2), ("score_embeddings", 15)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.png", "--caption", "x"], "gone.png: no such file or folder"),
        (["--caption", "x"], "no pictures: name files or folders"),
        (["-", "--caption", "x"], "no pictures: name files or folders"),
        ([".", "--caption", "x"], ".: no pictures in this folder"),
        (["a.png"], "no captions"),
        (["a.png", "--captions", "gone.txt"], "gone.txt: cannot be read"),
        (["a.png", "--captions", "latin.txt"], "latin.txt: not UTF-8"),
        (["a.png", "--captions", "blank.txt"], "blank.txt: holds no captions"),
        (["a.png", "--caption", "x", "--json", "--csv"], "--json and --csv"),
        (["latin.txt", "--caption", "x", "--server", "http://x"], "--server and --model"),
    ],
)
def test_a_mistake_costs_one_line(predict, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "blank.txt").write_bytes(b"\n \n")
    done = predict(*arguments)
    assert isinstance(done.exception, DexmatchError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert done.stdout == ""


def test_the_pushed_model_is_taken_and_nothing_else_is_said(tiny_models, album, tmp_path):
    """In a process of its own: TensorFlow's words on loading must not reach the user."""
    (tmp_path / "serving_model").mkdir()
    (tmp_path / "serving_model" / "mine").symlink_to(tiny_models.first)
    arguments = [album / "rgb.png", "--caption", "a bird", "--set", "run.name=mine", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "predict", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["probability"] > 0
    # On a machine that is busy, progress is told.
    assert not [line for line in done.stderr.splitlines() if not line.startswith("Encoding ")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--client-certificate", "a.pem"], "--client-certificate and --client-key: name both"),
        (["--client-key", "a.key"], "--client-certificate and --client-key: name both"),
        (["--client-certificate", "a", "--client-key", "b"], "is shown to a --server; name one"),
        (
            ["--client-certificate", "a", "--client-key", "b", "--server", "https://host"],
            "a: cannot be read (No such file or directory)",
        ),
        (["--server", "jo:tr0ub4dor@host:8501"], "--server host:8501: begin with http"),
        (["--server", "http://jo:tr0ub4dor@host:port"], "http://host:port: no address"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "tag", "search"])
def test_mistakes_about_a_server_cost_one_line(
    command, options, message, album, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "captions.txt").write_text("a bird")
    arguments = {
        "predict": [album, "--caption", "a bird"],
        "tag": [album, "--captions", "captions.txt"],
        "search": ["a bird", "--images", album],
    }
    done = CliRunner().invoke(app, [command, *map(str, arguments[command]), *options])
    assert isinstance(done.exception, DexmatchError)
    assert message in str(done.exception)
    assert "tr0ub4dor" not in str(done.exception)


def test_pictures_that_cannot_be_read_are_named_and_the_rest_is_judged(
    predict, tmp_path, pictures, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.png").write_bytes(pictures["rgb.png"])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "round.png").symlink_to("round.png")
    done = predict("round.png", ".", "--caption", "a bird", "--json")
    assert done.exit_code == NOT_ALL_JUDGED, done.exception
    rows = {row["picture"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows["good.png"]["probability"] > 0
    assert rows["empty.png"]["reason"] == "empty file"
    assert rows["round.png"]["reason"] == "Too many levels of symbolic links"
    assert "cannot be judged: round.png (Too many levels of symbolic links)" in done.stderr


def test_no_pushed_model_yet(album, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["predict", str(album), "--caption", "a bird"])
    assert "serving_model/dexmatch: no such folder; push a model" in str(done.exception)


def test_no_server_is_told_in_one_line(album, free_port):
    address = f"http://127.0.0.1:{free_port}"
    done = CliRunner().invoke(
        app, ["predict", str(album), "--caption", "a bird", "--server", address]
    )
    assert isinstance(done.exception, DexmatchError)
    assert address in str(done.exception)
    assert "\n" not in str(done.exception)

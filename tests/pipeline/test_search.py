"""`dexmatch search` as a user calls it."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from core.errors import DexmatchError
from pipeline.cli import app

pytestmark = pytest.mark.slow

ODD_NAME = "\"quoted\" & <b>'bold'.png"
ODD_CAPTION = "a red <script>alert('bird')</script> & \"fish\""
INDEX = ".dexmatch-index.npz"


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    for number, name in enumerate(("one.png", ODD_NAME, "three.jpg")):
        pixels = np.full((40 + 100 * number, 60, 3), 255 - 80 * number, np.uint8)
        pixels[:, : 20 * number] = (200, 30, 20)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def search(tiny_models, album):
    def call(caption, *arguments, model=tiny_models.first):
        words = ["search", caption, "--images", album, "--model", model, *arguments]
        return CliRunner().invoke(app, [str(word) for word in words])

    return call


def found(done):
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_second_search_encodes_nothing_and_finds_the_same(search, album, tiny):
    first = search("a red bird", "--json")
    assert "encoded now 3, in the index already 0" in first.stderr
    assert (album / INDEX).is_file()
    second = search("a red bird", "--json", "--top", 2)
    assert "encoded now 0, in the index already 3" in second.stderr
    assert found(second) == found(first)[:2]
    for rank, row in enumerate(found(first), 1):
        assert row["rank"] == rank
        with open(row["picture"], "rb") as file:
            (expected,) = tiny.score([file.read()], ["a red bird"])
        assert row["probability"] == pytest.approx(expected, abs=1e-5)


def test_another_model_makes_the_index_anew_and_says_so(search, tiny_models):
    search("a red bird")
    other = search("a red bird", "--json", model=tiny_models.second)
    assert "made by another model (version 1; 1 answers now)" in other.stderr
    assert "encoded now 3" in other.stderr
    fresh = search("a red bird", "--json", "--no-index", model=tiny_models.second)
    assert found(other) == found(fresh)


def test_no_index_leaves_none(search, album):
    search("a red bird", "--no-index")
    assert sorted(path.name for path in album.iterdir()) == sorted(
        ["one.png", ODD_NAME, "three.jpg"]
    )


def test_an_index_elsewhere(search, album, tmp_path):
    search("a red bird", "--index", tmp_path / "kept")
    assert not (album / INDEX).exists()
    assert "encoded now 0" in search("a red bird", "--index", tmp_path / "kept").stderr


def test_where_no_index_can_be_kept_the_search_goes_on(search, album, monkeypatch):
    def refused(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(np, "savez", refused)
    done = search("a red bird", "--json")
    assert len(found(done)) == 3
    assert "the index cannot be kept (Read-only file system)" in done.stderr


def test_a_damaged_index_and_a_broken_picture(search, album):
    (album / "broken.png").write_bytes(b"")
    done = search("a red bird", "--json")
    assert len(found(done)) == 3
    assert "cannot be judged: 1 of 4 pictures (broken.png: empty file)" in done.stderr
    (album / INDEX).write_bytes((album / INDEX).read_bytes()[:300])
    done = search("a red bird")
    assert isinstance(done.exception, DexmatchError)
    assert f"{album / INDEX}: no index of dexmatch, or a damaged one" in str(done.exception)


def test_the_html_sheet_is_one_escaped_file_with_the_pictures_in_it(search, tmp_path):
    sheet = tmp_path / "sheet.html"
    done = search(ODD_CAPTION, "--sheet", sheet)
    assert done.exit_code == 0, done.output
    page = sheet.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>'" not in page
    assert "<title>a red &lt;script&gt;alert(&#39;bird&#39;)&lt;/script&gt; &amp; " in page
    assert re.search(r'alt="[^"]*&#34;quoted&#34; &amp; &lt;b&gt;&#39;bold&#39;\.png"', page)
    # Nothing is fetched from anywhere.
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 3
    assert "url(" not in page
    for source in sources:
        head, _, content = source.partition(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            assert image.format == "JPEG"
            assert max(image.size) <= 320
    assert '<meta name="viewport"' in page
    assert "prefers-color-scheme: dark" in page


def test_the_png_sheet(search, tmp_path):
    sheet = tmp_path / "sheet.PNG"
    done = search("a red bird " * 40, "--sheet", sheet)
    assert done.exit_code == 0, done.output
    with Image.open(sheet) as image:
        assert image.format == "PNG"
        width, height = image.size
        colours = {colour for _, colour in image.convert("RGB").getcolors(1_000_000)}
    assert 500 < width < 1100
    assert 200 < height < 500
    assert (200, 30, 20) in colours or any(red > 180 and green < 60 for red, green, _ in colours)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sheet", "sheet.pdf"], "sheet.pdf: a sheet is one of .html, .png"),
        (["--sheet", "gone/sheet.html"], "gone: no such folder"),
        (["--index", "gone/index"], "--index gone/index: name a file in a folder that exists"),
        (["--index", "x", "--no-index"], "--index and --no-index"),
        (["--images", "gone"], "gone: no such folder"),
    ],
)
def test_a_mistake_is_told_before_the_work(
    search, album, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    done = search("a red bird", *arguments)
    assert isinstance(done.exception, DexmatchError)
    assert message in str(done.exception)
    assert not (album / INDEX).exists()


def test_a_caption_without_a_word(search):
    done = search("?!")
    assert '"?!": holds no word to search for' in str(done.exception)

"""`dexmatch tag` as a user calls it."""

import json

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.commands import tag as tag_command
from pipeline.commands.model_options import NOT_ALL_JUDGED

CAPTIONS = ("a red bird", "blue fish", "?!", "green", "a red bird", "unknown words")
JUDGED = ("a red bird", "blue fish", "green", "unknown words")


@pytest.fixture
def tag(tiny_models, tmp_path, pictures):
    (tmp_path / "captions.txt").write_text("\n".join(CAPTIONS))
    for name in ("rgb.png", "grey.png", "tall.png"):
        (tmp_path / name).write_bytes(pictures[name])

    def call(*arguments):
        words = ["tag", *arguments, "--captions", "captions.txt", "--model", tiny_models.first]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            return CliRunner().invoke(app, [str(word) for word in words])

    return call


@pytest.mark.parametrize("block", [1, 65_536])
def test_captions_are_ranked_by_what_score_says(tag, tiny, pictures, monkeypatch, block):
    monkeypatch.setattr(tag_command, "_BLOCK", block)
    done = tag("rgb.png", "grey.png", "--json")
    assert done.exit_code == 0, done.output
    assert 'cannot be judged: caption "?!"' in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["picture"] for row in rows] == ["rgb.png", "grey.png"]
    for row in rows:
        scored = tiny.score([pictures[row["picture"]]] * len(JUDGED), JUDGED)
        expected = sorted(zip(JUDGED, scored, strict=True), key=lambda pair: -pair[1])
        assert [each["caption"] for each in row["tags"]] == [text for text, _ in expected]
        found = [each["probability"] for each in row["tags"]]
        assert found == pytest.approx([value for _, value in expected], abs=1e-5)


def test_top_and_a_broken_picture(tag, tmp_path):
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    done = tag(".", "--top", 2)
    assert done.exit_code == NOT_ALL_JUDGED
    assert "cannot be judged: broken.gif (" in done.stderr
    assert done.stdout.count("%") == 3 * 2
    assert done.stdout.count("cannot be judged") == 1

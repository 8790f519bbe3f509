"""Verdicts that are kept, and the table that is made of them."""

import dataclasses
import json
import os

import pytest

from core.errors import DexmatchError
from data import picture_files, readers
from data.columns import ALL_GUESSED, choose, metadata_of
from data.records import Row
from data.rows import RowMaker
from data.survey import survey
from pages.app import verdicts
from pages.app.pictures import Picture
from pages.app.verdicts import Kept, Verdict, Verdicts


@pytest.fixture
def picture(pictures):
    return Picture.of(pictures["rgb.png"])


def verdict(picture, caption, describes):
    return Verdict(verdicts.file_name(picture), caption, describes, 0.25, 7, 0.5, "2026-11-30")


def imported(folder):
    """The rows that `dexmatch data import` makes of the table."""
    reader = readers.open_reader(str(folder / verdicts.PAIRS), "jsonl", None)
    found = survey(reader)
    columns = choose(found, ALL_GUESSED, "pairs")
    maker = RowMaker(columns, metadata_of(found, columns, print), reader.is_typed)
    rows = [row for record in reader.records(with_images=True) for row in maker.rows(record)]
    assert all(isinstance(row, Row) for row in rows), rows
    return rows


def test_a_wrong_caption_waits_for_a_true_one_and_is_imported_beside_it(tmp_path, picture):
    kept = Verdicts(tmp_path / "new" / "feedback")
    assert kept.add(picture, verdict(picture, "a blue fish", False)) == Kept(0, 1)
    told = kept.add(picture, verdict(picture, "a “red” bird | 1", True))
    assert told == Kept(1, 0, ("a “red” bird | 1",))
    (row,) = imported(kept.folder)
    assert (row.caption, row.hard_captions, row.metadata) == (
        "a “red” bird | 1",
        ("a blue fish",),
        {},
    )
    assert picture_files.read(kept.folder, row.image) == picture.content


def test_the_last_verdict_on_a_pair_counts(tmp_path, picture):
    kept = Verdicts(tmp_path)
    kept.add(picture, verdict(picture, "a red bird", True))
    kept.add(picture, verdict(picture, "a blue fish", True))
    assert kept.add(picture, verdict(picture, "a blue fish", False)).pairs == 1
    assert [row.hard_captions for row in imported(tmp_path)] == [("a blue fish",)]
    kept.add(picture, verdict(picture, "a blue fish", None))
    assert [row.hard_captions for row in imported(tmp_path)] == [()]
    assert kept.add(picture, verdict(picture, "a red bird", None)) == Kept(0, 0)
    # The log still tells all of it, with what the model had said.
    lines = (tmp_path / verdicts.LOG).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["describes"] for line in lines] == [True, True, False, None, None]
    assert json.loads(lines[0])["probability"] == 0.25


def test_the_log_does_not_pass_for_a_table_of_captions(tmp_path, picture):
    kept = Verdicts(tmp_path)
    kept.add(picture, verdict(picture, "a blue fish", False))
    reader = readers.open_reader(str(tmp_path / verdicts.LOG), "jsonl", None)
    with pytest.raises(DexmatchError, match="no column looks like"):
        choose(survey(reader), ALL_GUESSED, "verdicts")


def test_two_processes_add_to_one_log(tmp_path, picture):
    first, second = Verdicts(tmp_path), Verdicts(tmp_path)
    first.add(picture, verdict(picture, "one", True))
    second.add(picture, verdict(picture, "two", True))
    assert first.add(picture, verdict(picture, "three", True)).pairs == 3


def test_a_kill_while_writing_leaves_what_was_there(tmp_path, picture, monkeypatch):
    kept = Verdicts(tmp_path)
    kept.add(picture, verdict(picture, "a red bird", True))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.jsonl")}

    def killed(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", killed)
        kept.add(picture, verdict(picture, "a blue fish", False))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.jsonl")} == before


def test_a_picture_is_never_written_over(tmp_path, picture):
    kept = Verdicts(tmp_path)
    kept.add(picture, verdict(picture, "a red bird", True))
    path = tmp_path / verdicts.PICTURES / verdicts.file_name(picture)
    before = path.stat().st_ino
    kept.add(picture, verdict(picture, "a blue fish", False))
    assert path.stat().st_ino == before and path.read_bytes() == picture.content


@pytest.mark.parametrize(
    "line", ["{", "[]", "{}", '{"picture": "../x.png"}', json.dumps({"caption": "a red bird"})]
)
def test_a_damaged_log_is_told_and_left_as_it_is(tmp_path, picture, line):
    kept = Verdicts(tmp_path)
    kept.add(picture, verdict(picture, "a red bird", True))
    path = tmp_path / verdicts.LOG
    path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(DexmatchError, match=r"verdicts\.jsonl, line 2: .* mend or remove"):
        kept.add(picture, verdict(picture, "a blue fish", False))
    assert path.read_bytes() == before


def test_a_name_that_leads_elsewhere_is_no_verdict(tmp_path, picture):
    given = verdict(picture, "a red bird", True)
    line = dataclasses.asdict(dataclasses.replace(given, picture="../x.png"))
    (tmp_path / verdicts.LOG).write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(DexmatchError, match="line 1: no verdict"):
        Verdicts(tmp_path).count()


def test_where_nothing_can_be_kept_it_says_so(tmp_path, picture):
    (tmp_path / "file").write_text("")
    with pytest.raises(DexmatchError, match="verdicts cannot be kept there .* --feedback"):
        Verdicts(tmp_path / "file").add(picture, verdict(picture, "a red bird", True))

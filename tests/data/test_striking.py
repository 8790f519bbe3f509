"""A data set without the pairs that were struck out."""

import csv
import json

import pytest

from core import features
from core.errors import DexmatchError
from data import dataset, importer, pair_examples, striking
from data.demo import generator


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    generator.write_folder(folder / "pictures", count=12, size=16)
    return importer.import_pairs(
        folder / "pictures" / "captions.csv", folder / "set", num_workers=1, say=lambda _: None
    )


def records(found):
    """Id to the bytes of the pair."""
    files = [str(found.path / shard.name) for shard in found.files]
    return {
        pair_examples.first_bytes(each, features.ID).decode(): each.SerializeToString(
            deterministic=True
        )
        for each in pair_examples.read_examples(files)
    }


def marked(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_struck_out_is_accounted_for_and_the_rest_stays_byte_for_byte(made, tmp_path):
    before = records(made)
    gone = sorted(before)[3:5]
    left = striking.write_without(
        made, {name: f"marked.csv, {name}" for name in gone}, tmp_path / "x"
    )
    assert records(left) == {name: each for name, each in before.items() if name not in gone}
    assert (left.read, left.imported, left.rejected) == (12, 10, 2)
    assert left.rejected_by_reason == {"struck_out": 2}
    with open(left.path / dataset.REJECTS, newline="") as file:
        told = [(row["image"], row["reason"], row["detail"]) for row in csv.DictReader(file)]
    assert told == [(name, "struck_out", f"marked.csv, {name}") for name in before if name in gone]
    kept = [(each.name, each.type) for each in made.features]
    assert [(each.name, each.type) for each in left.features] == kept
    assert left.groups <= made.groups


def test_marks_are_read_from_the_column_or_all_are_meant(tmp_path):
    some = marked(tmp_path / "some.csv", 'strike,rank,id\n,1,a\nx,2,"b, c"\n  ,3,d\n1,4,e\n')
    assert striking.read_struck(some) == {"b, c": "some.csv, row 2", "e": "some.csv, row 4"}
    every = marked(tmp_path / "all.csv", "id\na\nb\n")
    assert striking.read_struck(every) == {"a": "all.csv, row 1", "b": "all.csv, row 2"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name\na\n", "marked.csv: no column `id`"),
        ("", "marked.csv: no column `id`"),
        ("strike,id\n,a\n", "strikes nothing out; mark pairs by any sign in its column `strike`"),
        ('strike,id\nx,"a\n', "cannot be read as CSV in UTF-8"),
    ],
)
def test_a_list_that_strikes_nothing_out_is_told(tmp_path, content, message):
    with pytest.raises(DexmatchError, match=message):
        striking.read_struck(marked(tmp_path / "marked.csv", content))


def test_a_list_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DexmatchError, match="No such file"):
        striking.read_struck(tmp_path / "none.csv")


def test_pairs_that_are_not_there_and_all_of_them_cannot_be_struck_out(made, tmp_path):
    with pytest.raises(DexmatchError, match=r"m\.csv, row 1: .* has no pair 'nobody'"):
        striking.write_without(made, {"nobody": "m.csv, row 1"}, tmp_path / "x")
    with pytest.raises(DexmatchError, match="all 12 pairs are struck out; leave some"):
        striking.write_without(made, dict.fromkeys(records(made), "m"), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_the_data_set_itself_and_others_are_not_written_over(made, tmp_path):
    struck = {next(iter(records(made))): "m"}
    with pytest.raises(DexmatchError, match="is the data set itself"):
        striking.write_without(made, struck, made.path, overwrite=True)
    striking.write_without(made, struck, tmp_path / "x")
    before = json.loads((tmp_path / "x" / dataset.DESCRIPTION).read_text())
    with pytest.raises(DexmatchError, match="exists already"):
        striking.write_without(made, struck, tmp_path / "x")
    assert json.loads((tmp_path / "x" / dataset.DESCRIPTION).read_text()) == before

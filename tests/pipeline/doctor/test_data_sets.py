"""Data sets that are not whole."""

import json
import shutil

import pytest

from pipeline.doctor import data_sets


def test_a_whole_one(project, look):
    found = look(data_sets, "data.dataset=data")["data set"]
    assert (found.status, found.facts["pairs"], found.facts["read_whole"]) == ("ok", 2, False)
    found = look(data_sets, "data.dataset=data", thorough=True)["data set"]
    assert (found.status, found.facts["read_whole"]) == ("ok", True)


def test_none_is_named(look):
    assert look(data_sets)["data set"].found == "none is named (--data)"


def test_each_that_the_configuration_names(project, look):
    found = look(data_sets, "data.dataset=data", "bulk.dataset=nowhere")
    assert [each.status for each in found.values()] == ["ok", "problem"]


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (lambda folder: shutil.rmtree(folder), "not a dexmatch data set"),
        (lambda folder: (folder / "pairs.gz").unlink(), "pairs.gz: this shard is missing"),
        (lambda folder: (folder / "pairs.gz").write_bytes(b"x"), "pairs.gz: this shard was change"),
        (lambda folder: (folder / "dataset.json").write_text("{"), "dataset.json: broken"),
    ],
)
def test_what_is_seen_at_a_glance(project, look, breaks, told):
    breaks(project / "data")
    found = look(data_sets, "data.dataset=data")["data set"]
    assert found.status == "problem"
    assert told in found.found
    assert "import" in found.advice


def test_a_changed_byte_is_seen_by_reading_it_all(project, look):
    shard = project / "data" / "pairs.gz"
    content = shard.read_bytes()
    shard.write_bytes(b"X" + content[1:])
    assert look(data_sets, "data.dataset=data")["data set"].status == "ok"
    found = look(data_sets, "data.dataset=data", thorough=True)["data set"]
    assert (found.status, found.advice) == ("problem", "import the data again")
    assert "pairs.gz: this shard was changed" in found.found


def test_counts_that_do_not_add_up(project, look):
    file = project / "data" / "dataset.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"imported": 3}))
    found = look(data_sets, "data.dataset=data")["data set"]
    assert (found.status, found.found) == (
        "problem",
        "data: 3 pairs were imported, its shards hold 2",
    )

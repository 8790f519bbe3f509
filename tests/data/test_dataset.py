"""Reading a data set's description."""

import json
import subprocess
import sys

import pytest

from core.errors import DexmatchError
from data import dataset
from data.dataset import Dataset

CONTENT = {
    "format_version": 1,
    "read": 3,
    "imported": 2,
    "rejected": 1,
    "rejected_by_reason": {"too_small": 1},
    "images": 2,
    "groups": 2,
    "source": {"format": "csv", "name": "c.csv", "columns": {"image": "i"}},
    "features": [
        {"name": "caption", "type": "bytes", "column": "c", "present": 2, "values": None},
        {
            "name": "size",
            "type": "float",
            "column": "size",
            "present": 2,
            "values": [{"value": 1.0, "count": 2}],
        },
        {"name": "name", "type": "bytes", "column": "name", "present": 2, "values": None},
    ],
    **{
        key: {"minimum": 1, "p5": 1, "median": 2, "p95": 3, "maximum": 3}
        for key in ("caption_words", "image_height", "image_width")
    },
    "samples": [{"id": "a", "caption": "x"}],
    "digest": "d",
    "files": [{"name": "pairs.gz", "examples": 2, "bytes": 4, "sha256": "s"}],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps(CONTENT))
    (tmp_path / "pairs.gz").write_bytes(b"1234")
    return tmp_path


def test_load(folder):
    loaded = dataset.load(folder)
    assert (loaded.path, loaded.examples, loaded.bytes) == (folder, 2, 4)
    assert [feature.name for feature in loaded.metadata] == ["size", "name"]
    assert [feature.name for feature in loaded.low_cardinality_columns()] == ["size"]


def test_round_trip_keeps_types(folder):
    loaded = dataset.load(folder)
    assert json.loads(loaded.to_json()) == CONTENT
    value = Dataset.model_validate_json(loaded.to_json()).metadata[0].values[0].value
    assert isinstance(value, float)


def test_a_folder_that_is_no_data_set(tmp_path):
    with pytest.raises(DexmatchError, match="not a dexmatch data set"):
        dataset.load(tmp_path)


@pytest.mark.parametrize("change", [{"format_version": 2}, {"read": "3"}, {"new": 1}])
def test_a_file_of_another_version(folder, change):
    (folder / "dataset.json").write_text(json.dumps(CONTENT | change))
    with pytest.raises(DexmatchError, match="another version") as error:
        dataset.load(folder)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_json(folder):
    (folder / "dataset.json").write_bytes(b"\xff{")
    with pytest.raises(DexmatchError, match="broken"):
        dataset.load(folder)


def test_a_missing_shard(folder):
    (folder / "pairs.gz").unlink()
    with pytest.raises(DexmatchError, match=r"pairs\.gz: this shard is missing"):
        dataset.load(folder)


def test_a_changed_shard(folder):
    (folder / "pairs.gz").write_bytes(b"123")
    with pytest.raises(DexmatchError, match="was changed"):
        dataset.load(folder)


def test_needs_no_tensorflow_and_no_beam():
    modules = "data.dataset, data.importer, pipeline.commands.data"
    heavy = "{'tensorflow', 'apache_beam'}"
    code = f"import sys, {modules}; sys.exit(not {heavy}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

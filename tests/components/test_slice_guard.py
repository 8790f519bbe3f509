"""Nothing is trained for a bound on a slice that nothing is in."""

import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components.slice_guard import executor
from core.errors import DexmatchError

SPLITS = {
    "train": [{"color": b"mauve", "legs": 2}],
    "val": [{"color": b"mauve", "legs": 4}],
    "test": [{"color": b"red", "legs": 2}, {"color": b"red"}, {"color": b"blue", "legs": 4}],
}


@pytest.fixture
def examples(tmp_path):
    made = standard_artifacts.Examples()
    made.uri = str(tmp_path)
    made.split_names = artifact_utils.encode_split_names(list(SPLITS))
    for split, rows in SPLITS.items():
        folder = tmp_path / f"Split-{split}"
        folder.mkdir()
        with tf.io.TFRecordWriter(str(folder / "pairs.gz"), "GZIP") as writer:
            for row in rows:
                example = tf.train.Example()
                example.features.feature["color"].bytes_list.value.append(row["color"])
                if "legs" in row:
                    example.features.feature["legs"].int64_list.value.append(row["legs"])
                writer.write(example.SerializeToString())
    return made


def guard(examples, *slices):
    asked = {executor.SLICES: executor.json_utils.dumps(list(slices)), executor.SPLIT: "test"}
    executor.Executor().Do({executor.EXAMPLES: [examples]}, {}, asked)


@pytest.mark.parametrize(
    "slices", [(), ("color:red",), ("legs:2", "color:blue", "color:blue × legs:4")]
)
def test_slices_with_pairs_let_the_run_go_on(examples, slices):
    guard(examples, *slices)


@pytest.mark.parametrize(
    ("name", "elsewhere"),
    [
        ("color:mauve", ", though train and val have, so"),
        ("color:mauve × legs:4", ", though val have, so"),
        ("color:red × legs:4", "legs:4, so"),
        ("legs:8", "legs:8, so"),
    ],
)
def test_a_slice_without_a_pair_stops_it_and_says_where_there_are_some(examples, name, elsewhere):
    told = f"no pair of the test split is in {name}"
    with pytest.raises(DexmatchError, match=told) as raised:
        guard(examples, "color:red", name)
    assert elsewhere in str(raised.value)
    assert "data.test_buckets" in str(raised.value)


def test_no_more_is_read_than_is_needed(examples, monkeypatch):
    seen = []
    slices_of = executor.slices_of
    monkeypatch.setattr(
        executor, "slices_of", lambda *asked: seen.append(asked) or slices_of(*asked)
    )
    guard(examples, "color:red")
    assert len(seen) == 1

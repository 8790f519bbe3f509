"""Pairs as the components pass them on, read back."""

import numpy as np
import pytest
import tensorflow as tf

from core import features
from data import pair_examples
from data.pair_examples import TruePair


def example(number: int, is_match: bool) -> tf.train.Example:
    made = tf.train.Example()
    feature = made.features.feature
    for name, content in {
        features.ID: b"%d" % number,
        features.GROUP: b"group",
        features.IMAGE: b"image %d" % number,
        features.CAPTION: b"caption %d" % number,
    }.items():
        feature[name].bytes_list.value.append(content)
    feature[features.LABEL].int64_list.value.append(int(is_match))
    return made


@pytest.fixture
def split(tmp_path):
    """A split of three pairs in two files; the second one is wrong."""
    folder = tmp_path / "Split-[test]"
    folder.mkdir()
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    shards = {"b.gz": [example(2, True)], "a.gz": [example(0, True), example(1, False)]}
    for name, pairs in shards.items():
        with tf.io.TFRecordWriter(str(folder / name), options) as writer:
            for pair in pairs:
                writer.write(pair.SerializeToString())
    return str(folder)


def test_the_files_of_a_split_come_in_order_whatever_its_folder_is_called(split):
    assert pair_examples.split_files(split) == [f"{split}/a.gz", f"{split}/b.gz"]


def test_a_split_that_is_gone_has_no_files_and_no_pairs(tmp_path):
    files = pair_examples.split_files(str(tmp_path / "gone"))
    assert files == []
    assert list(pair_examples.read_examples(files)) == []


def test_examples_come_in_the_order_of_the_files(split):
    files = pair_examples.split_files(split)
    read = list(pair_examples.read_examples(files))
    assert [pair_examples.first_bytes(each, features.ID) for each in read] == [b"0", b"1", b"2"]
    assert [pair_examples.label(each) for each in read] == [1, 0, 1]


def test_true_pairs_leave_out_the_wrong_captions(split):
    assert list(pair_examples.read_true_pairs(pair_examples.split_files(split))) == [
        TruePair(b"0", b"group", b"image 0", b"caption 0"),
        TruePair(b"2", b"group", b"image 2", b"caption 2"),
    ]


@pytest.mark.parametrize(
    ("kind", "values", "dtype", "as_bytes"),
    [
        ("bytes_list", [b"red", b"\xff"], object, [b"red", b"\xff"]),
        ("int64_list", [3, -1], np.int64, [b"3", b"-1"]),
        ("float_list", [0.5, 2.0], np.float32, [b"0.5", b"2.0"]),
        ("float_list", [], np.float32, []),
    ],
)
def test_values_keep_their_type_and_can_be_had_as_text(kind, values, dtype, as_bytes):
    made = tf.train.Example()
    getattr(made.features.feature["x"], kind).value.extend(values)
    found = pair_examples.feature_values(made, "x")
    assert (found.tolist(), found.dtype) == (values, dtype)
    assert pair_examples.values_as_bytes(made, "x") == as_bytes
    assert pair_examples.first_bytes(made, "x") == (as_bytes or [b""])[0]


@pytest.mark.parametrize("is_named", [True, False])
def test_a_feature_that_is_missing_or_of_no_kind_has_no_values(is_named):
    made = tf.train.Example()
    if is_named:
        made.features.feature["x"].SetInParent()
    assert pair_examples.feature_values(made, "x").shape == (0,)
    assert pair_examples.values_as_bytes(made, "x") == []
    assert pair_examples.first_bytes(made, "x") == b""
    assert ("x" in made.features.feature) == is_named

"""Reads pairs as the components pass them on: `tf.train.Example` in gzipped TFRecord files.

`data.examples` builds them, PairSampler adds the label, and both use the names of `core.features`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from core import features

_DTYPES = {"bytes_list": object, "int64_list": np.int64, "float_list": np.float32}


class TruePair(NamedTuple):
    """A picture and a caption that belongs to it.

    Attributes:
      pair_id: its id in the data set.
      group: what it belongs to.
      image: encoded picture.
      caption: UTF-8 text.
    """

    pair_id: bytes
    group: bytes
    image: bytes
    caption: bytes


def split_files(folder: str) -> list[str]:
    """The paths of a split's files, in order; none if there is no such folder."""
    if not tf.io.gfile.isdir(folder):
        return []
    return sorted(tf.io.gfile.join(folder, name) for name in tf.io.gfile.listdir(folder))


def record_dataset(files: Sequence[str]) -> tf.data.Dataset:
    """The serialized examples in gzipped TFRecord files: string [], in the order of the files."""
    return tf.data.TFRecordDataset(files, compression_type="GZIP")


def read_examples(files: Sequence[str]) -> Iterator[tf.train.Example]:
    """The examples in gzipped TFRecord files, in their order."""
    for record in record_dataset(files).as_numpy_iterator():
        yield tf.train.Example.FromString(record)


def read_true_pairs(files: Sequence[str]) -> Iterator[TruePair]:
    """The true pairs in gzipped TFRecord files, in their order."""
    for example in read_examples(files):
        if pair := true_pair(example):
            yield pair


def true_pair(example: tf.train.Example) -> TruePair | None:
    """The pair of an example; None if its caption is a wrong one."""
    if not label(example):
        return None
    feature = example.features.feature
    names = (features.ID, features.GROUP, features.IMAGE, features.CAPTION)
    return TruePair(*(feature[name].bytes_list.value[0] for name in names))


def label(example: tf.train.Example) -> int:
    """1 if the caption belongs to the picture, 0 if not."""
    value: int = example.features.feature[features.LABEL].int64_list.value[0]
    return value


def feature_values(example: tf.train.Example, name: str) -> np.ndarray:
    """A feature's values: object (bytes), int64 or float32 [n]; n is 0 if it is missing."""
    if name not in example.features.feature:
        return np.array([], object)
    feature = example.features.feature[name]
    kind = feature.WhichOneof("kind")
    return np.array(getattr(feature, kind).value, _DTYPES[kind]) if kind else np.array([], object)


def values_as_bytes(example: tf.train.Example, name: str) -> list[bytes]:
    """A feature's values as they are if they are bytes, and numbers as text."""
    values = feature_values(example, name).tolist()
    return [value if isinstance(value, bytes) else str(value).encode() for value in values]


def first_bytes(example: tf.train.Example, name: str) -> bytes:
    """The first of `values_as_bytes`; empty if the feature is missing."""
    return next(iter(values_as_bytes(example, name)), b"")

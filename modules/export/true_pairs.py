"""The true pairs of examples that PairSampler wrote."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf

from core import features


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


def of_record(record: bytes) -> TruePair | None:
    """The pair of a serialized tf.Example; None if its caption is a wrong one."""
    feature = tf.train.Example.FromString(record).features.feature
    if not feature[features.LABEL].int64_list.value[0]:
        return None
    names = (features.ID, features.GROUP, features.IMAGE, features.CAPTION)
    return TruePair(*(feature[name].bytes_list.value[0] for name in names))


def read(files: Sequence[str]) -> Iterator[TruePair]:
    """The true pairs in gzipped TFRecord files, in their order."""
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        if pair := of_record(record):
            yield pair

"""Builds the `tf.train.Example` of a pair. Imports TensorFlow: for worker processes only."""

import hashlib
from collections.abc import Sequence

import tensorflow as tf

from core import features
from data.pictures import Picture
from data.records import Row


def content_group(content: bytes) -> str:
    """The group of a picture that the source puts in none: copies of it share one."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def build(row: Row, picture: Picture, group: str) -> bytes:
    """Serialises a pair.

    Args:
      row: what the source says.
      picture: its picture, as it is to be stored.
      group: what stays on one side of a split.

    Returns:
      A serialised `tf.train.Example` with the raw features of `core.features`. The same pair
      gives the same bytes.
    """
    values: dict[str, Sequence[int | float | str | bytes]] = {
        features.IMAGE: [picture.content],
        features.CAPTION: [row.caption],
        features.ID: [row.id],
        features.GROUP: [group],
        features.IMAGE_HEIGHT: [picture.height],
        features.IMAGE_WIDTH: [picture.width],
        **{name: [value] for name, value in row.metadata.items()},
    }
    if row.hard_captions:
        values[features.HARD_CAPTION] = row.hard_captions
    feature = {name: _feature(value) for name, value in values.items()}
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    serialised: bytes = example.SerializeToString(deterministic=True)
    return serialised


def _feature(values: Sequence[int | float | str | bytes]) -> tf.train.Feature:
    match values[0]:
        case int():
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        case float():
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    encoded = [value.encode() if isinstance(value, str) else value for value in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))

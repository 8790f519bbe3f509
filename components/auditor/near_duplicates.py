"""For each picture the one of another group that is most like it, by embedding; and how like it is.

A hash finds a picture that stands twice byte for byte. One that was saved again, made smaller or a
little brighter has another hash, and much the same embedding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from core import features, reporting
from modules.training import inputs

_DIMENSIONS = 256
"""Features are projected to so many: distances stay what they were to some percent, and 100,000
pictures need 100 MB."""
_THUMBNAIL = 16
"""Pixels, either side: enough to tell two pictures apart, and little to keep."""
_SEED = 7
_BATCH = 64
_BLOCK = 2048
"""Pictures that are compared with as many others at a time."""


@dataclass(frozen=True)
class Described:
    """N pictures.

    Attributes:
      ids: bytes [N].
      groups: int64 [N].
      embeddings: float32 [N, D], of length 1.
      thumbnails: uint8 [N, T].
    """

    ids: np.ndarray
    groups: np.ndarray
    embeddings: np.ndarray
    thumbnails: np.ndarray


def describe(
    pairs: tf.data.Dataset, frozen: tf.data.Dataset | None, image_features: keras.Model
) -> Described:
    """Describes the picture of each pair by the backbone as it was before any training.

    Args:
      pairs: as `modules.training.inputs.pair_rows` returns them, with `id`.
      frozen: the same with the backbone's features, where they are there already.
      image_features: float32 [N, S, S, 3] in 0..255 to float32 [N, F].
    """
    width = image_features.output_shape[-1]
    generator = np.random.default_rng(_SEED)
    projection = generator.standard_normal((width, _DIMENSIONS)).astype(np.float32)
    encode = tf.function(lambda pixels: image_features(tf.cast(pixels, tf.float32), training=False))

    def picked(row: dict[str, tf.Tensor], other: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        pixels = inputs.decode_pixels(row)
        small = tf.image.resize(pixels, [_THUMBNAIL] * 2, tf.image.ResizeMethod.AREA)
        found = other[features.IMAGE_FEATURES][0] if frozen else pixels
        return row[features.ID], row[features.GROUP_HASH], tf.cast(small, tf.uint8), found

    parts = []
    total = inputs.count_rows(pairs)
    rows = tf.data.Dataset.zip(pairs, frozen or pairs).map(picked, tf.data.AUTOTUNE)
    for ids, groups, small, found in rows.batch(_BATCH):
        known = found if frozen else encode(found)
        parts.append((ids.numpy(), groups.numpy(), small.numpy(), known.numpy() @ projection))
        reporting.report("describing pictures", sum(len(part[0]) for part in parts), total)
    ids, groups, thumbnails, embeddings = map(np.concatenate, zip(*parts, strict=True))
    ids = ids.astype(np.bytes_)  # Not objects, which NumPy writes to no file.
    # What all pictures have in common would make them all alike.
    embeddings -= embeddings.mean(axis=0)
    embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    return Described(ids, groups, embeddings, thumbnails.reshape(len(ids), -1))


def find_nearest(described: Described) -> dict[str, np.ndarray]:
    """Finds for each picture the nearest one of another group.

    Returns:
      Arrays [N]: `id` and `nearest` bytes; `similarity` float32, the cosine of the two embeddings;
      `difference` float32, the root mean square of the difference of their thumbnails, 0 to 255.
    """
    count = len(described.ids)
    nearest = np.zeros(count, np.int64)
    similarity = np.full(count, -np.inf, np.float32)
    for rows, others in _blocks(count):
        found = described.embeddings[rows] @ described.embeddings[others].T
        found[described.groups[rows, None] == described.groups[None, others]] = -np.inf
        best = found.argmax(axis=1)
        value = found[np.arange(len(best)), best]
        closer = value > similarity[rows]
        similarity[rows] = np.where(closer, value, similarity[rows])
        nearest[rows] = np.where(closer, best + others.start, nearest[rows])
    difference = np.empty(count, np.float32)
    for start in range(0, count, _BLOCK):
        rows = slice(start, start + _BLOCK)
        one, other = described.thumbnails[rows], described.thumbnails[nearest[rows]]
        gaps = one.astype(np.float32) - other
        difference[rows] = np.sqrt(np.mean(gaps**2, axis=1))
    return {
        "id": described.ids,
        "nearest": described.ids[nearest],
        "similarity": similarity,
        "difference": difference,
    }


def _blocks(count: int) -> Iterator[tuple[slice, slice]]:
    for start in range(0, count, _BLOCK):
        for other in range(0, count, _BLOCK):
            yield slice(start, start + _BLOCK), slice(other, min(other + _BLOCK, count))
        reporting.report("comparing pictures", min(start + _BLOCK, count), count)

"""Transformed examples as `tf.data`, for training and for validation."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from core import features
from core.errors import DexmatchError
from modules.preprocessing import images

# Beam promises no order of what it writes. Sorting makes training repeatable, and holding the rows,
# as PNG, in memory makes epochs quick; beyond this size they are streamed in the files' order
# instead.
_SORTED_BYTES = 2**30

# Rows wait in the shuffle buffer as PNG, some ten kilobytes each.
_SHUFFLE_BUFFER = 4096

# Batches that are made while the model is at work on another.
_BATCHES_AHEAD = 4

_COUNTED_AT_ONCE = 1024

FeatureSpec = dict[str, tf.io.FixedLenFeature | tf.io.VarLenFeature]


@dataclass(frozen=True)
class Splits:
    """The rows that a model learns from, and those that it is watched on.

    Attributes:
      train: what `pair_rows` returns for the training split.
      val: the same for the validation split.
    """

    train: tf.data.Dataset
    val: tf.data.Dataset

    def filter_train(self, keep: Callable[[dict[str, tf.Tensor]], tf.Tensor]) -> "Splits":
        """The same with some rows of the training split only.

        Args:
          keep: a row to bool [].
        """
        return replace(self, train=self.train.filter(keep))


@dataclass(frozen=True)
class TrainingData:
    """Both splits, and how an epoch goes through them.

    Attributes:
      pictures: rows with pictures.
      batch_size: images a step, over all replicas.
      steps: of an epoch.
      features: the same rows with features of a frozen backbone in the place of pictures; None
        where no stage needs them.
    """

    pictures: Splits
    batch_size: int
    steps: int
    features: Splits | None = None

    @classmethod
    def in_steps(
        cls, pictures: Splits, pairs: int, batch_size: int, replicas: int
    ) -> "TrainingData":
        """Divides an epoch into batches that every replica gets an equal part of.

        Args:
          pictures: as in the class.
          pairs: how many are in the training split.
          batch_size: at most, `trainer.batch_size`.
          replicas: how many train at the same time.

        Raises:
          DexmatchError: there are too few pairs for the replicas.
        """
        even = min(batch_size, pairs) // replicas * replicas
        if even < 2 * replicas:
            raise DexmatchError(
                f"trainer.batch_size = {batch_size} and {pairs} pairs to train on are too few "
                f"for {replicas} replicas: each needs 2 images a step"
            )
        return cls(pictures, even, pairs // even)


def pair_rows(files: Sequence[str], spec: FeatureSpec) -> tf.data.Dataset:
    """Reads transformed examples whose picture could be decoded.

    Args:
      files: gzipped TFRecords of transformed tf.Examples.
      spec: `TFTransformOutput.transformed_feature_spec()`.

    Returns:
      One dict a pair; pictures are still PNG, `hard_tokens` is dense int64 [n * L].
    """

    def parse(example: tf.Tensor) -> dict[str, tf.Tensor]:
        row = tf.io.parse_single_example(example, spec)
        if features.HARD_TOKENS in row:
            row[features.HARD_TOKENS] = tf.sparse.to_dense(row[features.HARD_TOKENS])
        return row

    return _records(files).map(parse).filter(lambda row: row[features.IS_VALID] > 0)


def _records(files: Sequence[str]) -> tf.data.Dataset:
    """Serialized examples, string []; in an order of their own unless they are too many."""
    records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP")
    if sum(tf.io.gfile.stat(file).length for file in files) > _SORTED_BYTES:
        return records
    in_order = sorted(_canonical(record) for record in records.as_numpy_iterator())
    return tf.data.Dataset.from_tensor_slices(tf.constant(in_order, tf.string, [len(in_order)]))


def _canonical(record: bytes) -> bytes:
    """The same example in the one spelling: protobuf may write a map in any order."""
    spelled: bytes = tf.train.Example.FromString(record).SerializeToString(deterministic=True)
    return spelled


def validation_pairs(rows: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Pairs row by row, in their order.

    Returns:
      Batches of (pairs, label float32 [B]), where pairs is a dict: `pixels` uint8 [B, S, S, 3] or,
      where the rows have them, `image_features` float32 [B, F]; `tokens` int64 [B, L].
    """

    def as_input(row: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        label = tf.cast(row[features.LABEL], tf.float32)
        return {**_image(row, tf.constant(0)), features.TOKENS: row[features.TOKENS]}, label

    return _batches(rows.map(as_input, tf.data.AUTOTUNE).batch(batch_size))


def training_pairs(
    rows: tf.data.Dataset,
    max_tokens: int,
    batch_size: int,
    hard_captions: int,
    seed: int,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """True pairs without end, in a new order every epoch, hard negatives drawn anew each time.

    Order and draws of an epoch follow from the seed and the epoch's number alone, so a training
    that is resumed sees what it would have seen. What does not fill a batch is left out of that
    epoch; the order being random, it is the next one's turn.

    Args:
      rows: what `pair_rows` returns for the training split, at least `batch_size` of them.
      max_tokens: L.
      batch_size: B; every batch is full.
      hard_captions: H, how many of its hard captions a pair brings along; where it has fewer, the
        rest is padding alone.
      seed: of the order and of the draw.
      first_epoch: number of the epoch to begin with.

    Returns:
      Batches of a dict: `pixels` uint8 [B, S, S, 3] or, where the rows have them, `image_features`
      float32 [B, F], of one view drawn anew each time; `tokens` int64 [B, L], `hard_tokens` int64
      [B, H, L], `group_hash` int64 [B]; `attributes` int64 [B, K] where the rows have them.
    """

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        def draw(index: tf.Tensor, row: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            hard = tf.reshape(row.get(features.HARD_TOKENS, no_tokens), [-1, max_tokens])
            keys = tf.random.stateless_uniform([tf.shape(hard)[0]], [order_seed, index])
            hard = tf.gather(hard, tf.argsort(keys)[:hard_captions])
            hard = tf.pad(hard, [[0, hard_captions - tf.shape(hard)[0]], [0, 0]])
            view = tf.random.stateless_uniform(
                [], [index, order_seed], maxval=tf.int32.max, dtype=tf.int32
            )
            kept = (features.TOKENS, features.GROUP_HASH, features.ATTRIBUTES)
            return {
                **_image(row, view),
                **{name: row[name] for name in kept if name in row},
                features.HARD_TOKENS: tf.ensure_shape(hard, [hard_captions, max_tokens]),
            }

        # Of this function's graph alone. `shuffle` mixes it in, and does not bear 0.
        tf.compat.v1.set_random_seed(1)
        order_seed = tf.random.stateless_uniform(
            [], tf.stack([seed_, epoch]), maxval=tf.int64.max, dtype=tf.int64
        )
        shuffled = rows.shuffle(_SHUFFLE_BUFFER, order_seed, reshuffle_each_iteration=False)
        drawn = shuffled.enumerate().map(draw, tf.data.AUTOTUNE, deterministic=True)
        return drawn.batch(batch_size, drop_remainder=True)

    seed_ = tf.constant(seed, tf.int64)
    no_tokens = tf.zeros([0], tf.int64)
    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    return _batches(epochs.flat_map(one_epoch))


def _batches(batches: tf.data.Dataset) -> tf.data.Dataset:
    """What the model is fed with, some of it made ahead."""
    options = tf.data.Options()
    # Where several workers train, each takes its part of every batch, not of the files.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # Every core works without it, and an iterator that ends, as there is one for each validation,
    # may wait ten seconds for the thread that tunes it: seen in TensorFlow 2.21, one epoch in five.
    options.autotune.enabled = False
    return batches.with_options(options).prefetch(_BATCHES_AHEAD)


def count_rows(rows: tf.data.Dataset) -> int:
    """Number of rows."""
    return int(rows.reduce(tf.constant(0, tf.int64), lambda total, _: total + 1))


def count_values(rows: tf.data.Dataset, name: str) -> Counter[int]:
    """How often each value of an int64 feature is there."""
    values: Counter[int] = Counter()
    for batch in rows.map(lambda row: row[name]).batch(_COUNTED_AT_ONCE).as_numpy_iterator():
        values.update(batch.tolist())
    return values


def count_attributes(rows: tf.data.Dataset, sizes: Sequence[int]) -> list[np.ndarray]:
    """How often each value of each attribute is there.

    Args:
      rows: with `attributes` int64 [K], below 0 where a value is not known.
      sizes: how many values each of the K attributes has.

    Returns:
      K times int64 [n].
    """
    counts = [np.zeros(size, np.int64) for size in sizes]
    ids = rows.map(lambda row: row[features.ATTRIBUTES]).batch(_COUNTED_AT_ONCE)
    for batch in ids.as_numpy_iterator():
        for column, count in zip(batch.T, counts, strict=True):
            count += np.bincount(column[column >= 0], minlength=len(count))
    return counts


def decode_pixels(row: dict[str, tf.Tensor]) -> tf.Tensor:
    """A row's picture, uint8 [S, S, 3]."""
    return tf.io.decode_png(row[features.PIXELS], channels=images.CHANNELS)


def _image(row: dict[str, tf.Tensor], view: tf.Tensor) -> dict[str, tf.Tensor]:
    """The picture, or the features of one view of it."""
    if features.IMAGE_FEATURES not in row:
        return {features.PIXELS: decode_pixels(row)}
    views = row[features.IMAGE_FEATURES]
    return {features.IMAGE_FEATURES: views[view % tf.shape(views)[0]]}

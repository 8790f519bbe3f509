"""Negatives of a training step: which captions stand against which images, and how they weigh."""

import tensorflow as tf

from core.negatives import can_be_negative


def in_batch_pairs(tokens: tf.Tensor, groups: tf.Tensor, limit: int) -> tf.Tensor:
    """Which captions of a batch are set against which image: its own, and the negatives.

    Args:
      tokens: int64 [B, L], the images' own captions.
      groups: int64 [B].
      limit: negatives per image; 0 for all.

    Returns:
      bool [B, B]; the diagonal, the true captions, is True.
    """
    is_same_group = groups[:, tf.newaxis] == groups
    is_same_caption = tf.reduce_all(tokens[:, tf.newaxis] == tokens, axis=-1)
    is_negative = can_be_negative(is_same_group, is_same_caption)
    size = tf.shape(groups)[0]
    if limit:
        # The batch is in random order, so the next captions are random ones.
        distance = tf.range(size) - tf.range(size)[:, tf.newaxis]
        distance = tf.where(is_negative, distance % size, tf.int32.max)
        is_negative &= distance <= tf.sort(distance, axis=-1)[:, limit - 1 : limit]
    return is_negative | tf.eye(size, dtype=tf.bool)


def pair_weights(in_batch: tf.Tensor, hard: tf.Tensor, hard_share: float) -> tf.Tensor:
    """Weights that give true captions and negatives the same say, and hard ones a share of it.

    Args:
      in_batch: bool [B, B], see `in_batch_pairs`.
      hard: int64 [B, H, L] token ids of hard negatives; a caption of padding alone does not count.
      hard_share: of the negatives' weight.

    Returns:
      float32 [B, B + H]. The true captions weigh B; the negatives together as much, where there
      are any.
    """
    size = tf.cast(tf.shape(in_batch)[0], tf.float32)
    true = tf.eye(tf.shape(in_batch)[0])
    random = tf.cast(in_batch, tf.float32) - true
    hard_there = tf.cast(tf.reduce_any(hard > 0, axis=-1), tf.float32)
    random_total, hard_total = tf.reduce_sum(random), tf.reduce_sum(hard_there)
    # Where one kind is missing, the other takes its share.
    share = tf.where(hard_total > 0, tf.where(random_total > 0, hard_share, 1.0), 0.0)
    random *= tf.math.divide_no_nan((1.0 - share) * size, random_total)
    hard_there *= tf.math.divide_no_nan(share * size, hard_total)
    return tf.concat([true + random, hard_there], axis=1)

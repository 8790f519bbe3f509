"""Pairs of noise, for benchmarks whose time does not depend on what pictures and captions say."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from core import features
from core.config import Config
from modules.preprocessing import captions


def synthetic_rows(
    config: Config, pairs: int, vocabulary_size: int, attribute_sizes: Sequence[int] = ()
) -> tf.data.Dataset:
    """Rows as `modules.training.inputs.pair_rows` gives them, each of a group of its own.

    Args:
      config: how large pictures are, and how long captions.
      pairs: how many.
      vocabulary_size: number of token ids, padding and OOV included.
      attribute_sizes: how many values each attribute has; none for rows without.
    """
    generator = np.random.default_rng(0)
    size, length = config.image.size, config.caption.max_tokens
    pictures = generator.integers(0, 255, (pairs, size, size, 3)).astype(np.uint8)
    rows = {
        features.PIXELS: [tf.io.encode_png(picture).numpy() for picture in pictures],
        features.TOKENS: generator.integers(
            captions.FIRST_WORD_ID, vocabulary_size, (pairs, length)
        ),
        features.GROUP_HASH: np.arange(pairs),
    }
    if attribute_sizes:
        values = [generator.integers(0, count, pairs) for count in attribute_sizes]
        rows[features.ATTRIBUTES] = np.stack(values, axis=1)
    return tf.data.Dataset.from_tensor_slices(rows)

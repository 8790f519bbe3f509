"""What a model says of pairs that it did not learn from."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from modules import fitting, inputs, training


class Judged(NamedTuple):
    """Pairs, and what was said of them.

    Attributes:
      logits: float32 [N].
      labels: float32 [N], 1 where the caption belongs to the picture.
    """

    logits: np.ndarray
    labels: np.ndarray


def validation(trainer: training.PairTrainer, data: fitting.Data) -> Judged:
    """Asks a model about the validation split, pair by pair."""
    pairs = inputs.validation_pairs(data.val, data.batch_size)
    score = tf.function(lambda batch: trainer(batch, training=False))
    judged = [(score(batch).numpy(), label.numpy()) for batch, label in pairs]
    return Judged(*map(np.concatenate, zip(*judged, strict=True)))

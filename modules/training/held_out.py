"""What a model says of pairs that it did not learn from."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from modules.training import fitting, inputs, training


class Judged(NamedTuple):
    """Pairs, and what was said of them.

    Attributes:
      logits: float32 [N].
      labels: float32 [N], 1 where the caption belongs to the picture.
    """

    logits: np.ndarray
    labels: np.ndarray

    @classmethod
    def joined(cls, parts: "Iterable[Judged]") -> "Judged":
        """The pairs of all parts, of one at least, in their order."""
        return cls(*map(np.concatenate, zip(*parts, strict=True)))


def validation(trainer: training.PairTrainer, data: fitting.Data) -> Judged:
    """Asks a model about the validation split, pair by pair."""
    pairs = inputs.validation_pairs(data.val, data.batch_size)
    score = tf.function(lambda batch: trainer(batch, training=False))
    return Judged.joined(Judged(score(batch).numpy(), label.numpy()) for batch, label in pairs)

"""Calibration: the model's last layer is fitted so that probabilities mean what they say.

After John Platt's "Probabilistic Outputs for Support Vector Machines" (1999).
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from core import reporting
from modules.network.model import CALIBRATION, PairModel
from modules.training import inputs
from modules.training.inputs import TrainingData
from modules.training.pair_trainer import PairTrainer

_STEPS = 100
_RIDGE = 1e-6

_log = logging.getLogger(f"{reporting.LOGGER}.calibration")


class ScoredPairs(NamedTuple):
    """Pairs that a model did not learn from, and its logits.

    Attributes:
      logits: float32 [N].
      labels: float32 [N], 1 where the caption belongs to the image.
    """

    logits: np.ndarray
    labels: np.ndarray


def score_validation(trainer: PairTrainer, data: TrainingData) -> ScoredPairs:
    """Scores the validation split, pair by pair."""
    pairs = inputs.validation_pairs(data.pictures.val, data.batch_size)
    score = tf.function(lambda batch: trainer(batch, training=False))
    return _joined(ScoredPairs(score(batch).numpy(), label.numpy()) for batch, label in pairs)


def calibrate(model: PairModel, scored: Iterable[ScoredPairs]) -> None:
    """Fits the matcher's last layer.

    Args:
      model: whose logits are to become probabilities.
      scored: by it, or by models like it; one at least.
    """
    scale, offset = fit_platt_scaling(*_joined(scored))
    layer = model.matcher.get_layer(CALIBRATION)
    layer.scale.assign(scale)
    layer.offset.assign(offset)


def _joined(parts: Iterable[ScoredPairs]) -> ScoredPairs:
    return ScoredPairs(*map(np.concatenate, zip(*parts, strict=True)))


def fit_platt_scaling(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Finds scale and offset that make sigmoid(scale * logit + offset) the likeliest.

    Platt's targets stay clear of 0 and 1, so that a perfect order of few pairs does not make the
    model boundlessly sure of itself. The order of pairs, and with it every AUC, stays what it was.

    Args:
      logits: float [N].
      labels: 0 or 1 [N].

    Returns:
      scale (above 0) and offset; 1 and 0 where the pairs tell nothing, as when all labels are the
      same or higher logits are no likelier to be right.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    right, wrong = labels.sum(), (1 - labels).sum()
    if not right or not wrong:
        return 1.0, 0.0
    targets = np.where(labels > 0, (right + 1) / (right + 2), 1 / (wrong + 2))
    inputs = np.stack([logits, np.ones_like(logits)], axis=1)
    start = np.log(right / wrong)
    found = np.array([0.0, start])
    for _ in range(_STEPS):
        step = _newton_step(inputs, targets, found)
        found = found - step
        if np.abs(step).max() < 1e-9:
            break
    if not np.isfinite(found).all() or found[0] <= 0:
        _log.warning("the validation split cannot calibrate the model: probabilities stay raw")
        return 1.0, 0.0
    return float(found[0]), float(found[1])


def _newton_step(inputs: np.ndarray, targets: np.ndarray, at: np.ndarray) -> np.ndarray:
    probabilities = 1 / (1 + np.exp(-np.clip(inputs @ at, -50, 50)))
    slope = inputs.T @ (probabilities - targets)
    curvature = (inputs * (probabilities * (1 - probabilities))[:, None]).T @ inputs
    step: np.ndarray = np.linalg.solve(curvature + _RIDGE * np.eye(2), slope)
    return step

"""Calibration: the model's last layer is fitted so that probabilities mean what they say.

After Kull, Silva Filho and Flach, "Beta calibration" (2017), and John Platt, "Probabilistic Outputs
for Support Vector Machines" (1999).
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from core import features, reporting
from modules.network.model import CALIBRATION, PairModel
from modules.training import inputs
from modules.training.inputs import TrainingData

_STEPS = 100
_RIDGE = 1e-6
_CONVERGED = 1e-6

_log = logging.getLogger(f"{reporting.LOGGER}.calibration")


class ScoredPairs(NamedTuple):
    """Pairs that a model did not learn from, and its logits.

    Attributes:
      logits: float32 [N].
      labels: float32 [N], 1 where the caption belongs to the image.
    """

    logits: np.ndarray
    labels: np.ndarray


def score_validation(model: PairModel, data: TrainingData) -> ScoredPairs:
    """Scores the validation split, pair by pair."""
    pairs = inputs.validation_pairs(data.pictures.val, data.batch_size)

    @tf.function
    def score(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        pixels = tf.cast(batch[features.PIXELS], tf.float32)
        # Not the model itself: Keras would trace it once more, to build what is built.
        return model.call((pixels, batch[features.TOKENS]), training=False)

    return _joined(ScoredPairs(score(batch).numpy(), label.numpy()) for batch, label in pairs)


def calibrate(model: PairModel, scored: Iterable[ScoredPairs]) -> None:
    """Fits the matcher's last layer.

    Args:
      model: whose logits are to become probabilities.
      scored: by it, or by models like it; one at least.
    """
    model.matcher.get_layer(CALIBRATION).set_weights(fit_beta_calibration(*_joined(scored)))


def _joined(parts: Iterable[ScoredPairs]) -> ScoredPairs:
    return ScoredPairs(*map(np.concatenate, zip(*parts, strict=True)))


def fit_beta_calibration(logits: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Finds the `Calibration` that makes the labels the likeliest.

    It has a slope for low logits and another for high ones. Where a slope would not be above 0, so
    that the order of pairs would be lost, both are one (Platt scaling). Platt's targets stay clear
    of 0 and 1, so that a perfect order of few pairs does not make the model boundlessly sure of
    itself. The order of pairs, and with it every AUC, stays what it was.

    Args:
      logits: float [N].
      labels: 0 or 1 [N].

    Returns:
      Low slope and high slope (above 0), and offset, each float64 []; 1, 1 and 0 where the pairs
      tell nothing, as when all labels are the same or higher logits are no likelier to be right.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    right, wrong = labels.sum(), (1 - labels).sum()
    if right and wrong:
        targets = np.where(labels > 0, (right + 1) / (right + 2), 1 / (wrong + 2))
        start = np.log(right / wrong)
        low, high = -np.logaddexp(0, -logits), np.logaddexp(0, logits)
        for columns in ([low, high], [low + high]):
            *slopes, offset = _logistic_regression(np.stack(columns, axis=1), targets, start)
            if np.isfinite([*slopes, offset]).all() and min(slopes) > 0:
                return [np.array(each) for each in (slopes[0], slopes[-1], offset)]
        _log.warning("the validation split cannot calibrate the model: probabilities stay raw")
    return [np.array(each) for each in (1.0, 1.0, 0.0)]


def _logistic_regression(columns: np.ndarray, targets: np.ndarray, start: float) -> np.ndarray:
    """Newton's method: float [N, K] and probabilities [N] to K slopes and an offset; NaN if it does
    not converge."""
    inputs = np.concatenate([columns, np.ones([len(columns), 1])], axis=1)
    found = np.zeros(inputs.shape[1])
    found[-1] = start
    for _ in range(_STEPS):
        step = _newton_step(inputs, targets, found)
        found = found - step
        if np.abs(step).max() < _CONVERGED:
            return found
    return np.full_like(found, np.nan)


def _newton_step(inputs: np.ndarray, targets: np.ndarray, at: np.ndarray) -> np.ndarray:
    probabilities = 1 / (1 + np.exp(-np.clip(inputs @ at, -50, 50)))
    slope = inputs.T @ (probabilities - targets)
    curvature = (inputs * (probabilities * (1 - probabilities))[:, None]).T @ inputs
    step: np.ndarray = np.linalg.solve(curvature + _RIDGE * np.eye(len(at)), slope)
    return step

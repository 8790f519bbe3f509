import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from modules.training import calibration


def pairs(count=4000, scale=3.0, offset=1.5, seed=0):
    """Logits that are too sure of themselves and of the wrong height, with their labels."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(-0.5, 1.5, count)
    labels = generator.uniform(size=count) < 1 / (1 + np.exp(-honest))
    return scale * honest + offset, labels.astype(np.float32)


def test_scale_and_offset_are_those_of_a_logistic_regression():
    logits, labels = pairs()
    scale, offset = calibration.fit_platt_scaling(logits, labels)
    expected = LogisticRegression(C=1e9).fit(logits[:, None], labels)
    assert scale == pytest.approx(expected.coef_[0, 0], rel=0.02)
    assert offset == pytest.approx(expected.intercept_[0], rel=0.02)
    assert scale == pytest.approx(1 / 3, rel=0.1)


def test_probabilities_come_true():
    logits, labels = pairs(seed=1)
    scale, offset = calibration.fit_platt_scaling(logits, labels)
    fresh, fresh_labels = pairs(seed=2)
    probabilities = 1 / (1 + np.exp(-(scale * fresh + offset)))
    for low in np.arange(0, 1, 0.2):
        inside = (probabilities >= low) & (probabilities < low + 0.2)
        assert probabilities[inside].mean() == pytest.approx(fresh_labels[inside].mean(), abs=0.06)


def test_a_perfect_order_makes_nobody_boundlessly_sure():
    scale, offset = calibration.fit_platt_scaling(
        np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1])
    )
    assert np.isfinite([scale, offset]).all()
    assert 0.5 < 1 / (1 + np.exp(-(scale * 1.0 + offset))) < 0.95


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([0.0, 1.0], [1, 1]),
        ([0.0, 1.0], [0, 0]),
        ([2.0, 1.0, 0.0, -1.0], [0, 0, 1, 1]),  # The wrong way round.
        ([1.0, 1.0, 1.0], [0, 1, 1]),
    ],
)
def test_pairs_that_tell_nothing_change_nothing(logits, labels):
    scale, offset = calibration.fit_platt_scaling(np.array(logits), np.array(labels))
    assert np.isfinite([scale, offset]).all()
    assert scale > 0

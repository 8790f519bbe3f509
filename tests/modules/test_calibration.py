import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from modules.network.layers import Calibration
from modules.training import calibration


def pairs(count=4000, low=1.0, high=1.0, seed=0):
    """Logits that are too sure of themselves, and of the wrong height, with their labels.

    `low` and `high`: how much surer they are below and above 0.
    """
    generator = np.random.default_rng(seed)
    honest = generator.normal(-0.5, 1.5, count)
    labels = generator.uniform(size=count) < 1 / (1 + np.exp(-honest))
    return 3 * np.where(honest < 0, low * honest, high * honest), labels.astype(np.float32)


def probabilities(weights, logits):
    """What the network's last layer makes of logits."""
    layer = Calibration()
    layer.build(np.shape(logits))
    layer.set_weights(weights)
    return 1 / (1 + np.exp(-np.asarray(layer(np.asarray(logits, np.float32)), np.float64)))


def test_slopes_and_offset_are_those_of_a_logistic_regression():
    logits, labels = pairs()
    low, high, offset = calibration.fit_beta_calibration(logits, labels)
    columns = np.stack([-np.logaddexp(0, -logits), np.logaddexp(0, logits)], axis=1)
    expected = LogisticRegression(C=1e9).fit(columns, labels)
    assert [low, high] == pytest.approx(expected.coef_[0], rel=0.03)
    assert offset == pytest.approx(expected.intercept_[0], abs=0.02)
    assert [low, high] == pytest.approx([1 / 3, 1 / 3], rel=0.2)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (0.4, 1), (1, 0.4)])
def test_probabilities_come_true(low, high):
    found = calibration.fit_beta_calibration(*pairs(low=low, high=high, seed=1))
    fresh, labels = pairs(low=low, high=high, seed=2)
    stated = probabilities(found, fresh)
    for lower in np.arange(0, 1, 0.2):
        inside = (stated >= lower) & (stated < lower + 0.2)
        assert stated[inside].mean() == pytest.approx(labels[inside].mean(), abs=0.06)


def test_the_order_of_pairs_stays():
    logits = np.linspace(-12, 12, 200)
    found = calibration.fit_beta_calibration(*pairs(low=0.4))
    assert (np.diff(probabilities(found, logits)) > 0).all()


def test_one_slope_where_two_would_lose_the_order():
    """High logits are all the likelier to be wrong the higher they are, if only by chance."""
    logits = np.array([-4.0, -3, -2, -1, 1, 2, 3, 4, 5, 6])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 0])
    low, high, _ = calibration.fit_beta_calibration(logits, labels)
    assert low == high > 0


def test_a_perfect_order_makes_nobody_boundlessly_sure():
    found = calibration.fit_beta_calibration(
        np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1])
    )
    assert np.isfinite(found).all()
    assert 0.5 < probabilities(found, [1.0])[0] < 0.95


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([0.0, 1.0], [1, 1]),
        ([0.0, 1.0], [0, 0]),
        ([2.0, 1.0, 0.0, -1.0], [0, 0, 1, 1]),  # The wrong way round.
    ],
)
def test_pairs_that_tell_nothing_change_nothing(logits, labels):
    assert calibration.fit_beta_calibration(np.array(logits), np.array(labels)) == [1, 1, 0]


def test_a_single_logit_leaves_the_order_as_it_is():
    low, high, offset = calibration.fit_beta_calibration(np.ones(3), np.array([0, 1, 1]))
    assert np.isfinite(offset) and low > 0 and high > 0

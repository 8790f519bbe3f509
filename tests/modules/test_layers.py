import numpy as np
import pytest

from modules.network import layers


def histogram(*pixels, bins=3):
    """Shares of a picture of these pixels, by the steps of red, green and blue."""
    picture = np.array(pixels, np.float32).reshape(1, 1, -1, 3)
    rooted = np.asarray(layers.ColorHistogram(bins)(picture))
    return np.square(rooted[0]).reshape(bins, bins, bins)


def test_a_histogram_shares_pixels_out_among_colours():
    red, grey = (255, 0, 0), (127.5, 127.5, 127.5)
    shares = histogram(red, red, red, grey)
    assert shares[2, 0, 0] == pytest.approx(0.75, abs=1e-4)
    assert shares[1, 1, 1] == pytest.approx(0.25, abs=1e-4)
    assert shares.sum() == pytest.approx(1, abs=1e-3)
    between = histogram((63.75, 0, 0))
    assert between[0, 0, 0] == pytest.approx(0.5, abs=1e-4)
    assert between[1, 0, 0] == pytest.approx(0.5, abs=1e-4)


def test_a_histogram_does_not_depend_on_where_the_pixels_are():
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    layer = layers.ColorHistogram(4)
    np.testing.assert_allclose(layer(pixels), layer(pixels[:, ::-1, ::-1]), rtol=1e-5)


def test_padding_goes_that_no_caption_of_the_batch_needs():
    cut = layers.WithoutCommonPadding()
    tokens = np.array([[3, 0, 0, 0, 0], [0, 0, 4, 0, 0]])
    assert np.asarray(cut(tokens)).tolist() == [[3, 0, 0], [0, 0, 4]]
    assert np.asarray(cut(0 * tokens)).tolist() == [[0], [0]]
    assert np.asarray(cut(tokens[:, :3])).tolist() == tokens[:, :3].tolist()


def test_padding_is_never_the_maximum():
    values = np.array([[[-3.0], [-2.0], [5.0]], [[1.0], [1.0], [1.0]]], np.float32)
    mask = np.array([[True, True, False], [False, False, False]])
    greatest = layers.MaskedMaxPooling1D()(values, mask=mask)
    assert np.asarray(greatest).tolist() == [[-2.0], [0.0]]


def test_agreement_is_that_of_the_classes():
    layer = layers.Agreement((2, 3))
    layer.build([(None, 5), (None, 5)])
    layer.classifier.kernel.assign(10 * np.eye(5))
    layer.classifier.bias.assign(np.zeros(5))
    same, other, silent = np.eye(5)[[0]] + np.eye(5)[[2]], np.eye(5)[[1]] + np.eye(5)[[2]], 0
    agreement = np.asarray(layer([same, other]))
    assert agreement.shape == (1, 2)
    assert agreement[0, 0] < -2.9  # Other values of the first attribute,
    assert agreement[0, 1] == pytest.approx(np.log(3), abs=0.02)  # the same of the second.
    nothing = np.asarray(layer([same, same * silent]))
    np.testing.assert_allclose(nothing, 0, atol=0.06)


def test_agreement_on_a_rare_value_weighs_more():
    layer = layers.Agreement((2,))
    layer.build([(None, 2), (None, 2)])
    layer.classifier.kernel.assign(10 * np.eye(2))
    rare, frequent = np.eye(2)[[1]], np.eye(2)[[0]]
    before = [float(layer([each, each])[0, 0]) for each in (rare, frequent)]
    assert before == pytest.approx([np.log(2)] * 2, abs=0.05)
    layer.adapt([np.array([97, 1])])
    assert float(layer([rare, rare])[0, 0]) == pytest.approx(np.log(50), abs=0.05)
    assert float(layer([frequent, frequent])[0, 0]) == pytest.approx(np.log(100 / 98), abs=0.1)
    # A value that is guessed from its frequency says nothing.
    guess = np.log([[0.98, 0.02]]) / 10
    assert float(layer([rare, guess])[0, 0]) == pytest.approx(0, abs=0.06)


def test_a_value_that_no_pair_has_leaves_a_number():
    layer = layers.Agreement((3,))
    layer.build([(None, 3), (None, 3)])
    layer.adapt([np.array([5, 0, 0])])
    assert np.isfinite(np.asarray(layer([np.eye(3)[[2]], np.eye(3)[[2]]]))).all()


def test_power_normalization_is_the_root_and_unit_length():
    features = np.array([[0.0, 4.0, -16.0], [0.0, 0.0, 0.0]], np.float32)
    found = np.asarray(layers.PowerNormalization()(features))
    np.testing.assert_allclose(found[0], np.array([0, 2, -4]) / np.sqrt(20), atol=1e-3)
    assert found[1].tolist() == [0, 0, 0]

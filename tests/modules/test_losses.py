import numpy as np
import pytest
import tensorflow as tf

from modules.training import losses


def test_foretelling_the_right_words_costs_less():
    tokens = tf.constant([[3, 4, 1, 0]], tf.int64)
    right = losses.word_prediction_loss(tokens, tf.constant([[0.0, 0, 0, 9, 9, 0]]))
    blind = losses.word_prediction_loss(tokens, tf.zeros([1, 6]))
    assert right < blind
    assert blind.numpy() == pytest.approx(np.log(6))
    assert losses.word_prediction_loss(tf.zeros([1, 4], tf.int64), tf.zeros([1, 6])).numpy() == 0


def unit(*rows):
    return tf.constant(rows, tf.float32)


def test_the_contrastive_loss_falls_as_the_true_caption_comes_closer():
    image = unit([1, 0], [0, 1])
    counts = tf.constant([[True, True, True], [True, True, False]])
    hard = unit([0.6, 0.8], [0, 1])[:, tf.newaxis]  # The second picture's is padding.

    def loss(own):
        return float(losses.contrastive_loss(image, own, hard, counts, tf.constant(10.0)))

    assert loss(unit([1, 0], [0, 1])) < loss(unit([0.8, 0.6], [0, 1])) < loss(unit([0, 1], [1, 0]))


def test_captions_that_do_not_count_do_not_matter():
    image, own = unit([1, 0], [0, 1]), unit([0.8, 0.6], [0.6, 0.8])
    counts = tf.constant([[True, False, False], [False, True, False]])
    hard = unit([1, 0], [0, 1])[:, tf.newaxis]
    loss = losses.contrastive_loss(image, own, hard, counts, tf.constant(10.0))
    assert float(loss) == pytest.approx(0, abs=1e-6)


def test_attributes_that_are_not_known_do_not_count():
    scores = [tf.constant([[4.0, 0.0], [0.0, 4.0]]), tf.constant([[1.0, 2.0, 3.0]] * 2)]
    none = losses.attribute_loss(tf.constant([[-1, -1], [-1, -1]], tf.int64), scores)
    first = losses.attribute_loss(tf.constant([[0, -1], [-1, -1]], tf.int64), scores)
    both = losses.attribute_loss(tf.constant([[0, -1], [0, -1]], tf.int64), scores)
    assert float(none) == 0
    assert float(first) == pytest.approx(np.log(1 + np.exp(-4)), rel=1e-4)
    assert float(both) == pytest.approx((np.log(1 + np.exp(-4)) + np.log(1 + np.exp(4))) / 2, 1e-4)

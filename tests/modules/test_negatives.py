"""Which captions stand against which images in a training step, and how they weigh."""

import numpy as np
import pytest
import tensorflow as tf

from modules.training.negatives import in_batch_pairs, pair_weights


def test_captions_of_the_same_group_or_words_are_no_negatives():
    tokens = tf.constant([[2, 3], [2, 4], [2, 3], [5, 6]], tf.int64)
    groups = tf.constant([1, 1, 2, 3], tf.int64)
    expected = [
        [True, False, False, True],  # 1 is of its group, 2 says the same.
        [False, True, True, True],
        [False, True, True, True],
        [True, True, True, True],
    ]
    assert in_batch_pairs(tokens, groups, 0).numpy().tolist() == expected


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_keeps_so_many_negatives(limit):
    tokens = tf.constant([[number] for number in range(2, 8)], tf.int64)
    groups = tf.constant([1, 1, 2, 3, 4, 5], tf.int64)
    chosen = in_batch_pairs(tokens, groups, limit).numpy()
    assert chosen.diagonal().all()
    assert (chosen.sum(axis=1) == 1 + limit).all()
    assert not chosen[0, 1]


def test_right_and_wrong_captions_have_the_same_say():
    own = tf.constant([[True, True, False], [True, True, True], [False, True, True]])
    hard = tf.constant([[[2, 0]], [[0, 0]], [[3, 4]]], tf.int64)  # The second has none.
    weights = pair_weights(own, hard, 0.25).numpy()
    assert weights[:, :3].diagonal().tolist() == [1, 1, 1]
    wrong = weights[:, :3].sum() - 3
    assert wrong == pytest.approx(3 * 0.75)
    assert weights[:, 3].tolist() == pytest.approx([3 * 0.125, 0, 3 * 0.125])
    assert weights[0, 2] == weights[2, 0] == 0


@pytest.mark.parametrize(("wrong", "there"), [(True, False), (False, True), (False, False)])
def test_a_kind_that_is_missing_leaves_its_share_to_the_other(wrong, there):
    own = tf.constant([[True, wrong], [wrong, True]])
    hard = tf.constant([[[2 if there else 0]], [[2 if there else 0]]], tf.int64)
    weights = pair_weights(own, hard, 0.5).numpy()
    assert np.isfinite(weights).all()
    assert weights.sum() == pytest.approx(2 + (2 if wrong or there else 0))

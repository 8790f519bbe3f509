"""Batches of pictures, captions and pairs."""

import numpy as np
import pytest
import tensorflow as tf

from core import features
from modules.export import scoring


class Signature:
    """Stands for a signature of a SavedModel, and notes how much it was asked at once."""

    def __init__(self, answer):
        self._answer = answer
        self.sizes = []

    def __call__(self, **inputs):
        self.sizes.append(len(next(iter(inputs.values()))))
        return self._answer(**inputs)


def lengths(**inputs):
    (contents,) = inputs.values()
    return {features.EMBEDDING: tf.cast(tf.strings.length(contents)[:, None], tf.float32)}


def products(image_embedding, caption_embedding):
    return {features.PROBABILITY: image_embedding * caption_embedding}


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_contents_are_encoded_in_order_and_never_more_than_a_batch(count):
    signature = Signature(lengths)
    made = scoring.encode(signature, features.CAPTION, (b"a" * at for at in range(count)))
    assert made.tolist() == [[at] for at in range(count)]
    assert sum(signature.sizes) == count and max(signature.sizes) <= scoring.ENCODED_AT_ONCE


def test_without_contents_there_is_nothing_to_encode():
    assert scoring.encode(Signature(lengths), features.IMAGE, []).shape == (0, 0)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 13])
def test_pairs_are_scored_in_order_in_batches(count, monkeypatch):
    monkeypatch.setattr(scoring, "SCORED_AT_ONCE", 4)
    signature = Signature(products)
    images = np.arange(count, dtype=np.float32)[:, None]
    scores = scoring.score(signature, images, np.full((count, 1), 2, np.float32))
    assert (scores.dtype, scores.tolist()) == (np.float32, [2 * at for at in range(count)])
    assert sum(signature.sizes) == count and max(signature.sizes, default=0) <= 4

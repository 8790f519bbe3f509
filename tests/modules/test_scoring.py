"""Batches of images, captions and pairs, for a SavedModel and for a model in training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from core import features
from core.config import ModelConfig
from modules.export import scoring, signatures
from modules.export.scoring import Scorer
from modules.network import model


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


@pytest.fixture
def served():
    return {
        signatures.ENCODE_IMAGE: Signature(lengths),
        signatures.ENCODE_CAPTION: Signature(lengths),
        signatures.SCORE_EMBEDDINGS: Signature(products),
    }


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
@pytest.mark.parametrize(
    ("encode", "signature"),
    [
        (Scorer.images, signatures.ENCODE_IMAGE),
        (Scorer.captions, signatures.ENCODE_CAPTION),
    ],
)
def test_contents_are_encoded_in_order_and_never_more_than_a_batch(
    served, encode, signature, count
):
    made = encode(Scorer.of_saved_model(served), (b"a" * at for at in range(count)))
    assert made.tolist() == [[at] for at in range(count)]
    sizes = served[signature].sizes
    assert sum(sizes) == count and max(sizes) <= scoring.ENCODED_AT_ONCE


def test_without_contents_there_is_nothing_to_encode(served):
    assert Scorer.of_saved_model(served).images([]).shape == (0, 0)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 13])
def test_pairs_are_scored_in_order_in_batches(served, count, monkeypatch):
    monkeypatch.setattr(scoring, "SCORED_AT_ONCE", 4)
    images = np.arange(count, dtype=np.float32)[:, None]
    scores = Scorer.of_saved_model(served).pairs(images, np.full((count, 1), 2, np.float32))
    assert (scores.dtype, scores.tolist()) == (np.float32, [2 * at for at in range(count)])
    sizes = served[signatures.SCORE_EMBEDDINGS].sizes
    assert sum(sizes) == count and max(sizes, default=0) <= 4


def test_a_model_in_training_is_asked_for_logits_as_it_answers(tiny_backbone):
    keras.utils.set_random_seed(1)
    sizes = {"embedding_dim": 8, "recurrent_units": 8, "word_dim": 8, "dropout": 0.5}
    built = model.build(ModelConfig(feature_levels=("top",), **sizes), 32, 4, 12)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3)).astype(np.uint8)
    tokens = np.array([[2, 3, 0, 0], [4, 5, 6, 0], [7, 0, 0, 0]])
    scorer = Scorer.of_model(built)
    logits = scorer.pairs(scorer.images(pixels), scorer.captions(tokens))
    expected = built((pixels.astype(np.float32), tokens), training=False)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert len(set(logits.tolist())) == 3

"""`run_fn` on a handful of pairs, through TFX's own arguments."""

import numpy as np
import pytest
import tensorflow as tf

from core import features

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(runs, transformed, tmp_path_factory):
    target = tmp_path_factory.mktemp("model")
    # EfficientNet as it is, but no more of it than it takes.
    settings = ("trainer.epochs=1", "model.feature_levels=[2]")
    return target, runs.train(transformed, target, *settings)


def test_the_same_seed_gives_the_same_weights(runs, tiny_backbone, transformed, tmp_path):
    weights = runs.train(transformed, tmp_path / "one")
    again = runs.train(transformed, tmp_path / "two")
    other = runs.train(transformed, tmp_path / "three", "trainer.seed=8")
    runs.assert_same(weights, again)
    assert any(not np.array_equal(values, other[name]) for name, values in weights.items())


def test_nothing_of_the_training_is_saved(trained):
    target, weights = trained
    assert weights
    checkpoint = tf.train.load_checkpoint(str(target / "serving" / "variables" / "variables"))
    names = set(checkpoint.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    assert names == set(weights)


def test_the_exported_model_answers(runs, trained):
    served = tf.saved_model.load(str(trained[0] / "serving")).signatures["serving_default"]
    row = runs.raw(0)
    answer = served(
        image=tf.constant(row[features.IMAGE]), caption=tf.constant(row[features.CAPTION])
    )[features.PROBABILITY].numpy()
    assert answer.shape == (1,)
    assert 0 < answer[0] < 1


def test_a_model_goes_on_from_the_last_blessed_one(runs, tiny_backbone, transformed, tmp_path):
    """At a learning rate of nearly nothing it answers as that one does."""
    base = tmp_path / "base"
    runs.train(transformed, base, "trainer.epochs=1")
    runs.train(
        transformed,
        tmp_path / "next",
        "model.weights=last_blessed",
        "trainer.learning_rate=1e-12",
        "trainer.epochs=1",
        "trainer.seed=99",
        "model.batch_norm_momentum=0.9999999",
        base_model=base / "serving",
    )
    rows = [runs.raw(number) for number in range(6)]
    asked = {
        name: tf.constant([row[name][0] for row in rows])
        for name in (features.IMAGE, features.CAPTION)
    }
    answers = [
        tf.saved_model.load(str(place / "serving")).signatures["serving_default"](**asked)[
            features.PROBABILITY
        ]
        for place in (base, tmp_path / "next")
    ]
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-3)
    assert len(set(answers[0].numpy().tolist())) > 1

"""`run_fn` on a handful of pairs, through TFX's own arguments."""

import numpy as np
import pytest
import tensorflow as tf

from core import features

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(runs, tiny_backbone, transformed, tmp_path_factory):
    """The folder of a training of one epoch, and its weights."""
    target = tmp_path_factory.mktemp("model")
    return target, runs.train(transformed, target, "trainer.epochs=1", export=True)


def test_the_same_seed_gives_the_same_weights(runs, tiny_backbone, transformed, trained, tmp_path):
    again = runs.train(transformed, tmp_path / "again", "trainer.epochs=1")
    runs.assert_same(trained[1], again)
    other = runs.train(transformed, tmp_path / "other", "trainer.epochs=1", "trainer.seed=8")
    assert any(not np.array_equal(values, other[name]) for name, values in again.items())


def test_nothing_of_the_training_is_saved(trained):
    target, weights = trained
    found = tf.train.list_variables(str(target / "serving" / "variables" / "variables"))
    names = {name for name, _ in found} - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    assert len(names) == len(weights) > 10
    assert all(name.startswith("weights/") for name in names)


def test_the_exported_model_answers(runs, trained):
    served = tf.saved_model.load(str(trained[0] / "serving")).signatures["serving_default"]
    row = runs.raw(0)
    answer = served(
        image=tf.constant(row[features.IMAGE]), caption=tf.constant(row[features.CAPTION])
    )[features.PROBABILITY].numpy()
    assert answer.shape == (1,)
    assert 0 < answer[0] < 1


def test_a_model_goes_on_from_the_last_blessed_one(
    runs, tiny_backbone, transformed, trained, tmp_path
):
    """At a learning rate of nearly nothing it answers as that one does."""
    runs.train(
        transformed,
        tmp_path,
        "model.weights=last_blessed",
        "trainer.learning_rate=1e-12",
        "trainer.epochs=1",
        "trainer.seed=99",
        "model.batch_norm_momentum=0.9999999",
        export=True,
        base_model=trained[0] / "serving",
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
        for place in (trained[0], tmp_path)
    ]
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-3)
    assert len(set(answers[0].numpy().tolist())) > 1

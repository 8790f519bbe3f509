"""`run_fn` on a handful of pairs, through TFX's own arguments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from core import features
from modules.network.layers import leaves

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


@pytest.fixture
def fitted(runs, monkeypatch):
    """What was trained, as a `PairTrainer`, and what came of it, as a `PairModel`."""
    seen = []
    fit = runs.trainer.fit

    def watched(trainer, *arguments):
        seen.append((trainer, fit(trainer, *arguments)))
        return seen[-1][1]

    monkeypatch.setattr(runs.trainer, "fit", watched)
    return seen


def computes_in(*models):
    return {each.compute_dtype for one in models for each in leaves(one) if each.weights}


def test_mixed_precision_is_of_the_training_alone(
    runs, tiny_backbone, transformed, tmp_path, fitted, caplog
):
    weights = runs.train(
        transformed, tmp_path, "trainer.epochs=1", "trainer.precision=mixed_bfloat16"
    )
    assert "without a GPU" in caplog.text
    ((trainer, model),) = fitted
    learned = trainer.model
    assert computes_in(learned.image_encoder, learned.caption_encoder) == {"bfloat16"}
    assert computes_in(learned.matcher) == {"float32"}
    assert computes_in(model.image_encoder, model.caption_encoder, model.matcher) == {"float32"}
    assert {each.dtype for each in weights.values()} == {np.dtype("float32")}
    assert keras.config.dtype_policy().name == "float32"
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    exact, rounded = (
        np.asarray(each.image_encoder(pixels), np.float32) for each in (model, learned)
    )
    np.testing.assert_allclose(rounded, exact, atol=0.05 * np.abs(exact).max())
    assert not np.array_equal(rounded, exact)

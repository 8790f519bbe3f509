import keras
import numpy as np
import pytest
import tensorflow as tf

from core.config import ModelConfig
from modules.export import folding
from modules.network import model
from modules.network.layers import leaves

SIZE = 32


def shaken(built):
    """The model with weights and statistics that are none of those that it begins with."""
    generator = np.random.default_rng(1)
    # A Normalization computes with what its weights were when it was built.
    fixed = (keras.layers.Normalization, keras.layers.Dropout)
    for weight in [w for each in leaves(built) if not isinstance(each, fixed) for w in each.weights]:
        values = weight.numpy()
        if "moving_variance" in weight.path or "gamma" in weight.path:
            values = values * generator.uniform(0.5, 1.5, weight.shape)
        elif values.ndim == 1:
            values = values + generator.normal(0, 0.1, weight.shape)
        weight.assign(values)
    return built


def norms(built):
    return sum(isinstance(each, keras.layers.BatchNormalization) for each in leaves(built))


@pytest.fixture(scope="module")
def pixels():
    return tf.constant(np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 3)), tf.float32)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["EfficientNetB0", "EfficientNetLite0"])
def test_a_folded_image_encoder_gives_the_same_embeddings(backbone, pixels):
    keras.utils.set_random_seed(1)
    settings = ModelConfig(backbone=backbone, feature_levels=(1, 2, 3), embedding_dim=8)
    built = shaken(model.build_image_encoder(settings, SIZE))
    folded = folding.fold_batch_norm(built)
    assert norms(built) > 10
    assert norms(folded) == 1, "but for that of the head, which follows no convolution"
    expected = built(pixels, training=False)
    found = folding.frozen(built)(pixels)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_only_what_no_one_else_sees_is_folded():
    """Of three convolutions one is looked at elsewhere, and one has an activation of its own."""
    pixels = keras.Input((8, 8, 3))
    seen = keras.layers.Conv2D(4, 3, use_bias=True)(pixels)
    first = keras.layers.BatchNormalization()(seen)
    active = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, activation="relu")(first))
    depthwise = keras.layers.DepthwiseConv2D(3, depth_multiplier=2)(active)
    last = keras.layers.BatchNormalization(scale=False)(depthwise)
    pooled = [keras.layers.GlobalAveragePooling2D()(each) for each in (seen, last)]
    built = shaken(keras.Model(pixels, keras.layers.Concatenate()(pooled)))
    assert norms(folding.fold_batch_norm(built)) == 2
    inputs = tf.constant(np.random.default_rng(0).normal(0, 1, (2, 8, 8, 3)), tf.float32)
    np.testing.assert_allclose(
        folding.frozen(built)(inputs), built(inputs, training=False), rtol=1e-5, atol=1e-5
    )


def test_what_was_frozen_stays_when_the_model_learns_on():
    pixels = keras.Input((8, 8, 3))
    maps = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(pixels))
    built = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(maps))
    inputs = tf.ones((1, 8, 8, 3))
    answer = folding.frozen(built)
    before = built(inputs, training=False)
    built.layers[1].kernel.assign(2 * built.layers[1].kernel)
    np.testing.assert_allclose(answer(inputs), before, rtol=1e-5, atol=1e-5)

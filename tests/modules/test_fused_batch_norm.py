import keras
import numpy as np
import pytest
import tensorflow as tf

from modules.network.fused_batch_norm import FusedBatchNormalization, with_fused_batch_norm


def layer(kind, **options):
    """A layer whose weights are none of those that it begins with."""
    built = kind(epsilon=1e-3, momentum=0.9, **options)
    built.build((None, 4, 4, 3))
    generator = np.random.default_rng(1)
    built.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in built.weights])
    return built


@pytest.fixture
def maps():
    """float32 [5, 4, 4, 3]"""
    return tf.constant(np.random.default_rng(0).normal(2, 3, (5, 4, 4, 3)), tf.float32)


def step(built, maps):
    """Outputs, statistics, and gradients of a sum that is not 0 for any output."""
    with tf.GradientTape() as tape:
        tape.watch(maps)
        outputs = built(maps, training=True)
        loss = tf.reduce_sum(outputs**3)
    sources = [maps, *(variable.value for variable in built.trainable_variables)]
    return [outputs, *built.get_weights(), *tape.gradient(loss, sources)]


def test_a_training_step_is_that_of_keras(maps):
    plain = step(layer(keras.layers.BatchNormalization), maps)
    for found, expected in zip(step(layer(FusedBatchNormalization), maps), plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4)


def test_a_training_step_takes_the_fused_kernel(maps):
    built = layer(FusedBatchNormalization)
    graph = tf.function(lambda maps: built(maps, training=True)).get_concrete_function(maps).graph
    assert "FusedBatchNormV3" in {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("training", [False, True])
def test_what_does_not_learn_is_that_of_keras_bit_for_bit(maps, training):
    found = []
    for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
        built = layer(kind)
        built.trainable = not training
        found.append([built(maps, training=training), *built.get_weights()])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    "options", [{"scale": False}, {"center": False}, {"dtype": "mixed_bfloat16"}]
)
def test_what_the_kernel_does_not_fit_is_left_to_keras(maps, options):
    mine = layer(FusedBatchNormalization, **options)(maps, training=True)
    theirs = layer(keras.layers.BatchNormalization, **options)(maps, training=True)
    np.testing.assert_array_equal(mine, theirs)


def test_a_network_answers_as_before():
    pixels = keras.Input((4, 4, 3))
    values = keras.layers.BatchNormalization(name="first")(keras.layers.Conv2D(3, 1)(pixels))
    plain = keras.Model(pixels, keras.layers.Add()([values, pixels]), name="plain")
    plain.get_layer("first").set_weights(np.arange(1.0, 13).reshape(4, 3))
    fused = with_fused_batch_norm(plain)
    picture = np.random.default_rng(0).normal(size=(2, 4, 4, 3))
    np.testing.assert_array_equal(fused(picture), plain(picture))
    assert isinstance(fused.get_layer("first"), FusedBatchNormalization)
    assert [each.name for each in fused.layers[1:]] == [each.name for each in plain.layers[1:]]
    assert with_fused_batch_norm(fused) is fused

"""An image encoder as it answers requests: batch normalisation folded, weights constant.

What batch normalisation does to the answers of a convolution, once it learns no more, is a factor
and an offset for each channel, which the convolution's own kernel and bias can hold. Keras 3 makes
four passes through the whole feature map of it. TensorFlow fuses a convolution with its bias and
its activation, and prepares a kernel for oneDNN once where it is a constant of the graph.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from modules.network.layers import leaves

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


class _Folded(keras.layers.Layer):
    """Stands where batch normalisation stood: a layer before it does its work."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return inputs


def frozen(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """What a model answers now, up to rounding, by a graph that holds all weights.

    Args:
      model: a functional model of one input and one output; it is not changed.
    """
    folded = fold_batch_norm(model)
    learnt = [weight.numpy() for weight in folded.trainable_variables]
    kept = [weight.numpy() for weight in folded.non_trainable_variables]

    @tf.function(autograph=False)
    def answer(inputs: tf.Tensor) -> tf.Tensor:
        # Made here, they are constants of this graph; from outside they would be inputs of it.
        weights = [tf.constant(each) for each in learnt], [tf.constant(each) for each in kept]
        outputs, _ = folded.stateless_call(*weights, inputs, training=False)
        return outputs

    return answer


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """A copy in which convolutions do what the batch normalisation right after them did.

    Args:
      model: a functional model; models in it are copied too.

    Returns:
      A model that gives the same answers up to rounding, and must not be trained.
    """
    norms = {id(before): norm for before, norm in _pairs(model)}
    folded = {id(norm) for norm in norms.values()}

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if id(layer) in folded:
            return _Folded(name=layer.name)
        if id(layer) in norms:
            config["use_bias"] = True
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    for layer, twin in zip(leaves(model), leaves(copy), strict=True):
        if id(layer) in norms:
            twin.set_weights(_folded_weights(layer, norms[id(layer)]))
        elif id(layer) not in folded and layer.weights:
            twin.set_weights(layer.get_weights())
        if isinstance(twin, keras.layers.Normalization):
            twin.finalize_state()
    return copy


def _models(model: keras.Model) -> Iterator[keras.Model]:
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models(layer)


def _pairs(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Convolutions whose answer goes to a batch normalisation and nowhere else."""
    ends = {id(output) for each in _models(model) for output in each.outputs}
    for norm in leaves(model):
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        before = norm.input._keras_history.operation
        if (
            type(before) in _CONVOLUTIONS
            and id(norm.input) not in ends
            and before.data_format == "channels_last"
            and before.activation is keras.activations.linear
            and len(before._inbound_nodes) == len(before._outbound_nodes) == 1
            and len(norm._inbound_nodes) == 1
            and norm.axis in (-1, 3)
        ):
            yield before, norm


def _folded_weights(layer: keras.layers.Layer, norm: keras.layers.Layer) -> list[np.ndarray]:
    """Kernel and bias, computed in float64."""
    kernel, *bias = (each.astype(np.float64) for each in layer.get_weights())
    mean, variance = (
        np.asarray(each, np.float64) for each in (norm.moving_mean, norm.moving_variance)
    )
    factor = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        factor = factor * np.asarray(norm.gamma, np.float64)
    offset = np.asarray(norm.beta, np.float64) if norm.center else 0.0
    offset = offset + ((bias[0] if bias else 0.0) - mean) * factor
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    # A depthwise kernel is [height, width, channels, multiplier]: its answers are in that order.
    shaped = factor.reshape(kernel.shape[2:]) if is_depthwise else factor
    return [kernel * shaped, offset]

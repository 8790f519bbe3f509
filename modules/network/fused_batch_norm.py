"""Batch normalisation by TensorFlow's fused kernel while training.

Keras 3 puts batch normalisation together from a dozen operations, each of which goes through the
whole feature map. Where a backbone learns on CPUs, that was a third of a step; the fused kernel
takes a third of it (`benchmarks/training.py` shows what a step is spent on).
"""

from typing import Any

import keras
import tensorflow as tf

# What cuDNN asks for, and TensorFlow would raise a smaller one to without a word.
_LEAST_EPSILON = 1.001e-5


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, with the same weights and, up to rounding, results.

    The fused kernel is taken for a training step over float32 feature maps whose channels come
    last; everything else is left to Keras.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """float32 [N, H, W, C] to the same shape; moves the statistics if it trains."""
        if not (training and self.trainable and mask is None and self._fits(inputs)):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
        # The kernel gives the unbiased variance, of n - 1; Keras keeps that of n.
        for kept, found in (
            (self.moving_mean, mean),
            (self.moving_variance, variance * (count - 1) / count),
        ):
            kept.assign(kept * self.momentum + found * (1 - self.momentum))
        return outputs

    def _fits(self, inputs: Any) -> bool:
        return bool(
            len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.scale
            and self.center
            and not self.renorm
            and not self.synchronized
            and self.epsilon >= _LEAST_EPSILON
            and keras.backend.standardize_dtype(inputs.dtype) == "float32"
            and self.compute_dtype == "float32"
        )


def with_fused_batch_norm(model: keras.Model) -> keras.Model:
    """The same network with the same weights, its batch normalisation fused.

    Args:
      model: a functional model.

    Returns:
      The model itself if there is nothing to be done.
    """

    def is_plain(layer: keras.layers.Layer) -> bool:
        return type(layer) is keras.layers.BatchNormalization

    def rebuild(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = FusedBatchNormalization if is_plain(layer) else type(layer)
        return kind.from_config(layer.get_config())

    if not any(map(is_plain, model.layers)):
        return model
    fused = keras.models.clone_model(model, clone_function=rebuild)
    fused.set_weights(model.get_weights())
    return fused

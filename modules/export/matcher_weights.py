"""The matcher in numbers, for those who rank many embeddings: see `core.matcher`."""

import keras
import tensorflow as tf

from modules.network.layers import Agreement
from modules.network.model import AGREEMENT_WEIGHTS, ATTRIBUTES, CALIBRATION, SCALED_COSINE


def matcher_weights(matcher: keras.Model, least_probability: float) -> dict[str, tf.Tensor] | None:
    """The fields of `core.matcher.MatcherWeights` by name; None if the matcher is of another kind.

    Args:
      matcher: of a `PairModel`.
      least_probability: that is ever served of a pair that was judged.
    """
    there = {layer.name: layer for layer in matcher.layers}
    if SCALED_COSINE not in there:
        return None
    cosine, calibration = there[SCALED_COSINE], there[CALIBRATION]
    found = {
        "cosine_scale": cosine.kernel[0, 0],
        "bias": cosine.bias[0],
        "low": calibration.low,
        "high": calibration.high,
        "offset": calibration.offset,
        "least_probability": least_probability,
        **_agreement(there, matcher.inputs[0].shape[-1]),
    }
    tensors = {name: tf.convert_to_tensor(value, tf.float32) for name, value in found.items()}
    sizes = there[ATTRIBUTES].sizes if ATTRIBUTES in there else ()
    return {**tensors, "sizes": tf.constant(sizes, tf.int32, [len(sizes)])}


def _agreement(there: dict[str, keras.layers.Layer], width: int) -> dict[str, tf.Tensor]:
    if ATTRIBUTES not in there:
        none = tf.zeros([0])
        return {
            "classifier_kernel": tf.zeros([width, 0]),
            "classifier_bias": none,
            "shares": none,
            "agreement_scales": none,
            "least_agreement": Agreement.LEAST,
        }
    attributes = there[ATTRIBUTES]
    return {
        "classifier_kernel": attributes.classifier.kernel,
        "classifier_bias": attributes.classifier.bias,
        "shares": attributes.shares,
        "agreement_scales": there[AGREEMENT_WEIGHTS].kernel[:, 0],
        "least_agreement": attributes.LEAST,
    }

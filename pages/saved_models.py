"""Facts about a SavedModel, read from its files."""

import math
from pathlib import Path

import tensorflow as tf


def count_weights(saved_model: Path) -> int:
    """Number of weights in a SavedModel, batch statistics included."""
    variables = tf.train.list_variables(str(saved_model / "variables" / "variables"))
    return sum(math.prod(shape) for name, shape in variables if name.endswith("VARIABLE_VALUE"))

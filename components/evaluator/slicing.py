"""Which slices a pair is in, as TFMA sees it."""

from collections.abc import Iterator, Sequence

import tensorflow as tf
from tensorflow_model_analysis.slicer import slicer_lib as slicer

from core.slices import Parts
from data import pair_examples


def slices_of(
    example: tf.train.Example, specs: Sequence[slicer.SingleSliceSpec]
) -> Iterator[Parts]:
    """The slices that some specs make and a pair is in, by their parts in TFMA's order."""
    found = {name: pair_examples.feature_values(example, name) for name in example.features.feature}
    # A feature without a value is None to TFMA.
    values = {name: value if value.size else None for name, value in found.items()}
    yield from slicer.get_slices_for_features_dicts([values], None, specs)

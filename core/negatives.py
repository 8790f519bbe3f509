"""What may stand as a negative: one rule for PairSampler, the training step and cross-fitting."""

from typing import TypeVar

Mask = TypeVar("Mask")
"""Booleans of any shape: a NumPy array or a tensor."""


def can_be_negative(is_same_group: Mask, is_same_caption: Mask) -> Mask:
    """Which captions may be set against which images as negatives.

    A caption of the image's own group may well be true of it (the family, the scene, the product),
    and so may one that says the same words.

    Args:
      is_same_group: whether caption and image are of one group.
      is_same_caption: whether the caption says the same as the image's own; the same shape.
    """
    return ~(is_same_group | is_same_caption)  # type: ignore[operator]

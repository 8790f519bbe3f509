"""What training and serving see of a picture. Imports TensorFlow: for worker processes only."""

import numpy as np
import tensorflow as tf
from PIL import Image

from core.limits import MAX_PIXELS
from core.picture_sizes import UnknownSize, picture_size

TOLERANCE = 16
"""Levels of 255. Two decoders round a sound JPEG differently; a damaged one they make something
else of, as they do of some rare kinds."""

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_PIXELS_AT_ONCE = 2**20


def agrees(content: bytes, image: Image.Image) -> bool:
    """Whether TensorFlow decodes a picture to what Pillow made of it.

    Args:
      content: the encoded picture.
      image: the picture as it is stored, not turned upright.

    Returns:
      False too where TensorFlow cannot decode it at all.
    """
    decoded = _decoded(content)
    mode = None if decoded is None else _MODES.get(decoded.shape[-1])
    if decoded is None or mode is None or decoded.shape[:2] != (image.height, image.width):
        return False
    same_mode = image if image.mode == mode else image.convert(mode)
    expected = np.asarray(same_mode).reshape(decoded.shape)
    rows = max(1, _PIXELS_AT_ONCE // image.width)
    for start in range(0, image.height, rows):
        ours, theirs = expected[start : start + rows], decoded[start : start + rows]
        # Of unsigned bytes, so no plain difference.
        if (np.maximum(ours, theirs) - np.minimum(ours, theirs)).max() > TOLERANCE:
            return False
    return True


def size(content: bytes) -> tuple[int, int] | None:
    """Width and height of what TensorFlow decodes a picture to; None where it cannot."""
    decoded = _decoded(content)
    return None if decoded is None else (decoded.shape[1], decoded.shape[0])


def _decoded(content: bytes) -> np.ndarray | None:
    """uint8 [height, width, channels], as `modules.preprocessing.images` decodes it."""
    if not _is_within_limit(content):
        return None
    try:
        return tf.io.decode_image(content, channels=0, expand_animations=False).numpy()
    except tf.errors.OpError:
        return None


def _is_within_limit(content: bytes) -> bool:
    """Of an animation TensorFlow makes room for all frames; whoever asks has seen the first."""
    try:
        size = picture_size(content)
    except UnknownSize:
        return False
    return size is not None and size.pixels <= MAX_PIXELS

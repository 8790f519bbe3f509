"""Pictures that are too large are refused by their header, before anything decodes them.

A PNG of a few kilobytes may decode to gigabytes.
"""

import io
import warnings
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image
from tensorflow.core.example import example_pb2

from core import features
from serving.server.errors import invalid

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
"""What `tf.io.decode_image` reads."""
_BEYOND = (2**32, 2**32)
"""Stands for the size of a picture that Pillow refuses for its size."""

# Pillow warns of sizes that it is for our limit to judge.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def check_sizes(inputs: Mapping[str, np.ndarray], max_pixels: int) -> None:
    """Looks into inputs named `image` (encoded pictures) and `examples` (that hold some).

    What is no picture at all passes: the model has an answer for it.

    Raises:
      ServingError: INVALID_ARGUMENT, naming the picture's number.
    """
    for number, content in enumerate(_contents(inputs)):
        found = size(content)
        if found and found[0] * found[1] > max_pixels:
            raise invalid(
                f"picture {number} has more than the {max_pixels:,} pixels that this server takes"
            )


def _contents(inputs: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    images = inputs.get(features.IMAGE)
    if images is not None and images.dtype == object:
        yield from images.flat
    examples = inputs.get(features.EXAMPLES)
    if examples is not None and examples.dtype == object:
        for serialized in examples.flat:
            try:
                example = example_pb2.Example.FromString(serialized)
            except ValueError:  # Protobuf's DecodeError. TensorFlow has its own words for it.
                continue
            yield from example.features.feature[features.IMAGE].bytes_list.value


def size(content: bytes) -> tuple[int, int] | None:
    """Width and height; None if it is no picture."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            return image.size
    except Image.DecompressionBombError:
        return _BEYOND
    except Exception:  # Pillow raises many kinds on broken pictures.
        return None

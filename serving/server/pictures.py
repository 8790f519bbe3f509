"""Pictures that are too large are refused by their headers, before anything decodes them.

A PNG of a few kilobytes may decode to gigabytes.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from core import features
from core.picture_sizes import UnknownSize, picture_size
from serving.server import wire
from serving.server.errors import invalid

_MAP_ENTRY, _KEY, _VALUE = 1, 1, 2
"""Fields of Features in protobuf, and of the entries of a map."""
_BYTES_LIST, _BYTES_VALUE = 1, 1
"""Fields of Feature and BytesList."""
_FEATURES = 1
"""Field of Example."""


def count_pixels(inputs: Mapping[str, np.ndarray], max_pixels: int, max_together: int) -> int:
    """How many pixels TensorFlow makes of inputs named `image` (encoded pictures) and `examples`
    (that hold some).

    What is no picture at all passes: the model has an answer for it. Takes time that grows with the
    bytes.

    Args:
      max_pixels: of a picture, all its frames together.
      max_together: of all pictures.

    Raises:
      ServingError: INVALID_ARGUMENT, naming the number of the first picture that has too many, or
        does not say how many it has; or they have too many together.
    """
    together = 0
    for number, content in _contents(inputs):
        try:
            found = picture_size(content)
        except UnknownSize as error:
            raise invalid(f"picture {number} does not tell its size: {error}") from None
        pixels = found.pixels if found else 0
        if pixels > max_pixels:
            raise invalid(
                f"picture {number} has more than the {max_pixels:,} pixels that this server takes"
            )
        together += pixels
        if together > max_together:
            raise invalid(
                f"the pictures have more than the {max_together:,} pixels that this server takes "
                "in a request; send them in several"
            )
    return together


def _contents(inputs: Mapping[str, np.ndarray]) -> Iterator[tuple[int, bytes]]:
    """Pictures with the numbers of their rows."""
    images = inputs.get(features.IMAGE)
    if images is not None and images.dtype == object:
        yield from enumerate(images.flat)
    examples = inputs.get(features.EXAMPLES)
    if examples is not None and examples.dtype == object:
        for number, serialized in enumerate(examples.flat):
            for content in _pictures(serialized):
                yield number, content


def _pictures(example: bytes) -> Iterator[bytes]:
    """What a tf.Example holds under `image`.

    Of a name that comes several times TensorFlow takes one; all are looked at here.
    """
    try:
        for held in wire.members(memoryview(example), _FEATURES):
            for entry in wire.members(held, _MAP_ENTRY):
                if features.IMAGE.encode() not in map(bytes, wire.members(entry, _KEY)):
                    continue
                for feature in wire.members(entry, _VALUE):
                    for values in wire.members(feature, _BYTES_LIST):
                        yield from map(bytes, wire.members(values, _BYTES_VALUE))
    except wire.Malformed:
        return  # TensorFlow has its own words for it.

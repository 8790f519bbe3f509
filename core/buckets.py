"""Buckets of caption length and picture size, to slice the evaluation by.

The bounds stand here and not in the configuration, so that figures of different runs can be set
side by side.
"""

from bisect import bisect_left

from core.features import CAPTION_LENGTH, IMAGE_SIZE

_CAPTION_CHARACTERS = (50, 100, 200, 400)
_LONGER_SIDE_PIXELS = (64, 128, 256, 512, 1024)


def caption_length(caption: bytes) -> bytes:
    """The bucket of a caption's length.

    Args:
      caption: UTF-8; invalid bytes count as a character each.

    Returns:
      The lengths that the bucket holds, in characters, such as b"51-100".
    """
    return _bucket(len(caption.decode("utf-8", "replace")), _CAPTION_CHARACTERS)


def image_size(height: int, width: int) -> bytes:
    """The bucket of a picture's longer side, in pixels, such as b"65-128"."""
    return _bucket(max(height, width), _LONGER_SIDE_PIXELS)


def values() -> dict[str, tuple[str, ...]]:
    """All buckets that there are, by the name of their feature."""
    bounds = {CAPTION_LENGTH: _CAPTION_CHARACTERS, IMAGE_SIZE: _LONGER_SIDE_PIXELS}
    return {
        name: tuple(_bucket(number, each).decode() for number in (*each, each[-1] + 1))
        for name, each in bounds.items()
    }


def _bucket(number: int, bounds: tuple[int, ...]) -> bytes:
    """The bucket that a number is in; a bound is the last number of its bucket."""
    index = bisect_left(bounds, number)
    first = bounds[index - 1] + 1 if index else 1
    return f"{first}-{bounds[index]}".encode() if index < len(bounds) else f"{first}+".encode()

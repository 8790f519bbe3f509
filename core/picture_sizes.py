"""How many pixels TensorFlow makes of a picture, told by its header alone.

A file of a few kilobytes may hold gigabytes of pixels, so whoever takes pictures from strangers
looks here before anything is decoded. `tf.io.decode_image` decides by the first bytes of a file
what it is, and so does this module; libraries for pictures judge some files otherwise.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

_GIF_TRAILER, _GIF_EXTENSION, _GIF_FRAME = 0x3B, 0x21, 0x2C
_STEPS, _BYTES_A_STEP = 1024, 4
"""A GIF may have so many blocks, and one more for so many of its bytes. Encoders make far fewer; a
file of nothing but tiny blocks would take long to walk through."""
_JPEG_SEGMENTS = 4096
"""Before the size: colour profiles and the like fill some hundreds."""
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of the segments that tell the size (SOF)."""
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a segment."""
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_WEBP_ANIMATED = 0x02


@dataclass(frozen=True, slots=True)
class PictureSize:
    """What TensorFlow makes room for.

    Attributes:
      width: pixels; of the frames of a GIF, the most.
      height: likewise.
      frames: more than 1 for animations, which are read whole, whatever is used of them.
    """

    width: int
    height: int
    frames: int = 1

    @property
    def pixels(self) -> int:
        """Of all frames together."""
        return self.width * self.height * self.frames


class UnknownSize(ValueError):
    """What begins as a picture does not say how large it is."""


def picture_size(content: bytes) -> PictureSize | None:
    """The size of a picture as `tf.io.decode_image` would decode it.

    Takes a few microseconds, but for animations, where the time grows with the bytes.

    Args:
      content: of a file.

    Returns:
      None if TensorFlow takes it for no picture.

    Raises:
      UnknownSize: TensorFlow takes it for a picture, but its header is broken or cut off, or it
        is a JPEG XL, which dexmatch does not read.
    """
    for start, read in _READERS:
        if content.startswith(start):
            try:
                return read(content)
            except (struct.error, IndexError):
                raise UnknownSize("it ends in its header") from None
    return None


def _png(content: bytes) -> PictureSize:
    if content[8:16] != b"\x00\x00\x00\x0dIHDR":
        raise UnknownSize("it does not begin with its header")
    return PictureSize(*struct.unpack_from(">II", content, 16))


def _jpeg(content: bytes) -> PictureSize:
    at = 2
    for _ in range(_JPEG_SEGMENTS):
        found = _JPEG_MARKER.search(content, at)
        if not found or found[1][0] in (_JPEG_SCAN, _JPEG_END):
            raise UnknownSize("it has no size before its pixels")
        at, marker = found.end(), found[1][0]
        if marker in _JPEG_ALONE:
            continue
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", content, at + 3)
            return PictureSize(width, height)
        (length,) = struct.unpack_from(">H", content, at)
        at += max(length, 2)
    raise UnknownSize("it has too many segments before its size")


def _bmp(content: bytes) -> PictureSize:
    # TensorFlow looks at these places, whatever kind of header it is; a height below 0 means that
    # the first row is the top.
    width, height = struct.unpack_from("<ii", content, 18)
    return PictureSize(abs(width), abs(height))


def _gif(content: bytes) -> PictureSize:
    end, steps = len(content), _STEPS + len(content) // _BYTES_A_STEP
    at = 13 + _gif_colours(content[10])
    width = height = frames = 0
    while at < end:
        kind = content[at]
        if kind == _GIF_EXTENSION:
            at += 2
        elif kind == _GIF_FRAME and at + 10 <= end:
            # Frames may be larger than the screen that the header tells of.
            frame_width, frame_height, flags = struct.unpack_from("<HHB", content, at + 5)
            width, height = max(width, frame_width), max(height, frame_height)
            frames += 1
            at += 11 + _gif_colours(flags)
        else:  # The end, or nothing that a decoder goes on after.
            break
        while at < end and content[at] and steps >= 0:
            at += content[at] + 1
            steps -= 1
        at += 1
        steps -= 1
        if steps < 0:
            raise UnknownSize("it has too many blocks for its length")
    if not frames:
        raise UnknownSize("it has no frame")
    return PictureSize(width, height, frames)


def _gif_colours(flags: int) -> int:
    """Bytes of the table of colours that such flags announce."""
    return 3 << ((flags & 0x07) + 1) if flags & 0x80 else 0


def _riff(content: bytes) -> PictureSize | None:
    return _webp(content) if content[8:12] == b"WEBP" else None


def _webp(content: bytes) -> PictureSize:
    kind = content[12:16]
    if kind == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 26)
        return PictureSize(width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and content[20] == 0x2F:
        (packed,) = struct.unpack_from("<I", content, 21)
        return PictureSize((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X":
        flags, low, high, low_too, high_too = struct.unpack_from("<B3xHBHB", content, 20)
        width, height = (high << 16 | low) + 1, (high_too << 16 | low_too) + 1
        frames = _webp_frames(content) if flags & _WEBP_ANIMATED else 1
        return PictureSize(width, height, max(frames, 1))
    raise UnknownSize("its first chunk tells no size")


def _webp_frames(content: bytes) -> int:
    frames, at = 0, 12
    while at + 8 <= len(content):
        frames += content[at : at + 4] == b"ANMF"
        (length,) = struct.unpack_from("<I", content, at + 4)
        at += 8 + length + length % 2
    return frames


def _jpeg_xl(content: bytes) -> PictureSize:
    raise UnknownSize("it is a JPEG XL, which dexmatch does not read")


_READERS: tuple[tuple[bytes, Callable[[bytes], PictureSize | None]], ...] = (
    (b"\xff\xd8\xff", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"GIF8", _gif),
    (b"BM", _bmp),
    (b"RIFF", _riff),
    (b"\xff\x0a", _jpeg_xl),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", _jpeg_xl),
)
"""By the first bytes of a file, in TensorFlow's order."""

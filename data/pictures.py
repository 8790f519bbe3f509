"""Checks an encoded picture and brings it into a form that TensorFlow decodes to the same pixels.

What TensorFlow reads as Pillow does is kept byte for byte: 8-bit PNG in grey, RGB, RGBA or palette
colours, and upright JPEG in grey or RGB. A JPEG that lies on its side by EXIF is stored upright, as
JPEG. Everything else that Pillow reads (CMYK, 16-bit, 1-bit, WebP, TIFF, BMP, the first frame of a
GIF, damaged files of which the two make different pictures, ...) is stored as 8-bit PNG.
"""

import dataclasses
import io
import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from core.limits import MAX_PIXELS
from data.records import Reason, Rejected

MIN_SIDE = 8
"""Pixels. Anything smaller is a tracking pixel or a spacer."""
MAX_BYTES = 128 * 2**20
"""Of one encoded picture. Keeps a record far below protobuf's limit of 2 GB."""

# No EPS or PDF: Pillow would start Ghostscript on what a stranger sent.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "ICO")
_PNG_BIT_DEPTH = 24
"""Offset of the bit depth in a PNG file; the header chunk always comes first."""
_PNG_END = b"IEND\xaeB`\x82"
"""The last chunk. Pillow does without it, TensorFlow does not."""
_MAY_TURN_A_PNG = (b"eXIf", b"exif", b"xmp")
"""Names of what may hold an orientation: a chunk, a text, another text."""
_UPRIGHT = 1
_JPEG = ("JPEG", "MPO")
"""MPO: a JPEG followed by more pictures, from phones."""
_JPEG_QUALITY = 92
_ALL_COLOURS = 0
"""Pillow's number for a JPEG whose colours are as fine as its brightness."""

_Seen = TypeVar("_Seen")


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture that is safe to store.

    Attributes:
      content: PNG or JPEG file content.
      height: pixels of the upright picture.
      width: pixels of the upright picture.
    """

    content: bytes
    height: int
    width: int


def normalise(content: bytes) -> Picture:
    """Checks a picture and re-encodes it where TensorFlow would see something else.

    Args:
      content: an encoded picture in any format; the file name's extension plays no part.

    Returns:
      The picture to store. The same content gives the same bytes.

    Raises:
      Rejected: it is no picture, broken, too small or too large.
    """
    return _look_at(content, lambda image: _decode(image, content))


def check(content: bytes) -> None:
    """Decodes a picture by Pillow alone: quick, and TensorFlow is not loaded.

    Args:
      content: as for `normalise`, which may still have to re-encode it.

    Raises:
      Rejected: it is no picture, broken, too small or too large.
    """
    _look_at(content, lambda image: image.load())


def _look_at(content: bytes, decode: Callable[[Image.Image], _Seen]) -> _Seen:
    """Checks what the header says, then decodes; whatever goes wrong, the picture is rejected."""
    if len(content) > MAX_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"{len(content):,} bytes, more than {MAX_BYTES:,}")
    with warnings.catch_warnings():
        # Pillow's own words on odd metadata and large pictures; ours say it per row.
        warnings.simplefilter("ignore")
        image = _open(content)
        _check_size(image)
        try:
            return decode(image)
        except Rejected:
            raise
        except Exception as error:  # Pillow lets many kinds of error out of broken files.
            raise Rejected(Reason.CORRUPT_IMAGE, _one_line(error)) from error


def _open(content: bytes) -> Image.Image:
    """Reads the header only."""
    try:
        return Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise Rejected(Reason.TOO_LARGE, f"more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        detail = "no picture format that dexmatch reads" if content else "empty file"
        raise Rejected(Reason.NOT_AN_IMAGE, detail) from error
    except Exception as error:  # As above: a broken header can raise nearly anything.
        raise Rejected(Reason.CORRUPT_IMAGE, _one_line(error)) from error


def _check_size(image: Image.Image) -> None:
    size = f"{image.width} x {image.height} pixels"
    if image.width * image.height > MAX_PIXELS:
        raise Rejected(Reason.TOO_LARGE, f"{size}, more than {MAX_PIXELS:,}")
    if min(image.size) < MIN_SIDE:
        raise Rejected(Reason.TOO_SMALL, f"{size}, a side is shorter than {MIN_SIDE}")


def _decode(image: Image.Image, content: bytes) -> Picture:
    # Here, because only worker processes decode pictures.
    from data import tensorflow_decoder

    if _is_plain_png(image, content) and tensorflow_decoder.size(content) == image.size:
        # Without loss, so whoever reads it sees the same: one decoder is enough.
        return Picture(content, height=image.height, width=image.width)
    image.load()
    agrees = _can_be_read(image, content) and tensorflow_decoder.agrees(content, image)
    is_upright = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) == _UPRIGHT
    if agrees and is_upright:
        return Picture(content, height=image.height, width=image.width)
    plain = _plain(image)
    content = _as_jpeg(plain) if agrees and image.format in _JPEG else _as_png(plain)
    return Picture(content, height=plain.height, width=plain.width)


def _is_plain_png(image: Image.Image, content: bytes) -> bool:
    """Whether it is a PNG that surely stands upright; Pillow decodes a PNG to look for EXIF."""
    return (
        image.format == "PNG"
        and _can_be_read(image, content)
        and not any(name in content for name in _MAY_TURN_A_PNG)
    )


def _can_be_read(image: Image.Image, content: bytes) -> bool:
    """Whether TensorFlow reads pictures of this kind."""
    if image.format in _JPEG:
        return image.mode in ("L", "RGB")
    if image.format == "PNG":
        is_animated = getattr(image, "is_animated", False)
        # TensorFlow ignores a see-through colour that is not a palette's.
        has_colour_key = image.mode in ("L", "RGB") and "transparency" in image.info
        is_8_bit = content[_PNG_BIT_DEPTH] == 8
        known = image.mode in ("L", "RGB", "RGBA", "P")
        is_plain = known and is_8_bit and not is_animated and not has_colour_key
        return is_plain and _PNG_END in content
    return False


def _plain(image: Image.Image) -> Image.Image:
    """The first frame, upright, 8 bits per channel, mode L, RGB or RGBA."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips instead of scaling.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        detail = f"32-bit pixels (mode {image.mode}): which value is white is not known"
        raise Rejected(Reason.UNSUPPORTED_PIXELS, detail)
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _as_jpeg(image: Image.Image) -> bytes:
    """With hardly a loss, but not at the many times larger size of a PNG."""
    file = io.BytesIO()
    image.info = {}
    image.save(file, format="JPEG", quality=_JPEG_QUALITY, subsampling=_ALL_COLOURS)
    return file.getvalue()


def _as_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    # A colour profile or comment would travel along, and neither side looks at it.
    image.info = {}
    image.save(file, format="PNG")
    return file.getvalue()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

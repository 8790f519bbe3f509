"""Checks an encoded picture and brings it into a form that TensorFlow decodes to the same pixels.

What TensorFlow reads exactly as Pillow does is kept byte for byte: 8-bit PNG in grey, RGB, RGBA or
palette colours, and upright JPEG in grey or RGB. Everything else that Pillow reads (CMYK, 16-bit,
1-bit, EXIF-rotated, WebP, TIFF, BMP, the first frame of a GIF, ...) is stored as 8-bit PNG.
"""

import dataclasses
import io
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from data.records import Reason, Rejected

MIN_SIDE = 8
"""Pixels. Anything smaller is a tracking pixel or a spacer."""
MAX_PIXELS = 64_000_000
"""Checked in the header, before a pixel is decoded: a small file can hold a huge picture."""
MAX_BYTES = 128 * 2**20
"""Of one encoded picture. Keeps a record far below protobuf's limit of 2 GB."""

# No EPS or PDF: Pillow would start Ghostscript on what a stranger sent.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "ICO")
_PNG_BIT_DEPTH = 24
"""Offset of the bit depth in a PNG file; the header chunk always comes first."""
_PNG_END = b"IEND\xaeB`\x82"
"""The last chunk. Pillow does without it, TensorFlow does not."""
_UPRIGHT = 1


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
    if len(content) > MAX_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"{len(content):,} bytes, more than {MAX_BYTES:,}")
    with warnings.catch_warnings():
        # Pillow's own words on odd metadata and large pictures; ours say it per row.
        warnings.simplefilter("ignore")
        image = _open(content)
        _check_size(image)
        try:
            return _decode(image, content)
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
    image.load()
    if not _tensorflow_agrees(image, content):
        image = _plain(image)
        content = _as_png(image)
    return Picture(content, height=image.height, width=image.width)


def _tensorflow_agrees(image: Image.Image, content: bytes) -> bool:
    """Whether TensorFlow decodes `content` to the pixels of `image`."""
    if image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT:
        return False
    if image.format in ("JPEG", "MPO"):  # MPO: a JPEG followed by more pictures, from phones.
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


def _as_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    # A colour profile or comment would travel along, and neither side looks at it.
    image.info = {}
    image.save(file, format="PNG")
    return file.getvalue()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

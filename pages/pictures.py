"""Pictures as a page shows them: small, on white, as the model sees them."""

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError


def open_picture(picture: bytes, side: int) -> Image.Image | None:
    """A picture on white, as the model sees it; None if it cannot be shown.

    Args:
      picture: encoded.
      side: pixels that neither side is longer than.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encoded = Image.open(io.BytesIO(picture))
            encoded.draft("RGB", (2 * side, 2 * side))
            image = encoded.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if max(image.size) > side:
        image = ImageOps.contain(image, (side, side))
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def small_jpeg(picture: bytes, side: int, quality: int) -> bytes | None:
    """A small JPEG of a picture; None if it cannot be shown.

    Args:
      picture: encoded.
      side: pixels that neither side is longer than.
      quality: of the JPEG, from 1 to 95.
    """
    image = open_picture(picture, side)
    if image is None:
        return None
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()

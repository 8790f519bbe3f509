"""Data on their way into a page: JSON that no text can break out of, arrays, pictures."""

import base64
import hashlib
import json
from typing import Any

import numpy as np
from markupsafe import Markup

from pages.pictures import small_jpeg

_SIDE = 160
"""Pixels, the longer side of a picture on the page."""
_QUALITY = 75

# What could end a script element, or begin a comment or an entity in it.
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def as_json(value: Any) -> Markup:
    """JSON to stand in a `<script type="application/json">`.

    Lone surrogates are replaced, as UTF-8 has none; NaN is refused, as JSON has none.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.encode("utf-8", "replace").decode().translate(_ESCAPES))


def as_base64(values: np.ndarray) -> str:
    """Base64 of an array's little-endian bytes; the page knows the type."""
    return base64.b64encode(
        np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    ).decode()


def picture_key(picture: bytes) -> str:
    """The name of a picture in a page."""
    return hashlib.sha256(picture).hexdigest()[:16]


def data_uri(picture: bytes, side: int = _SIDE) -> str:
    """A small JPEG of a picture; empty if it cannot be shown."""
    content = small_jpeg(picture, side, _QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}" if content else ""

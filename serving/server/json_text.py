"""JSON as TensorFlow Serving reads and writes it: documents, strings, numbers, quotes in messages.

After `tensorflow_serving/util/json_tensor.cc`, with its messages.
"""

import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.server.errors import invalid

INFINITY = float("inf")
MINUS_INFINITY = -INFINITY
"""The objects that the tokens `Infinity` and `-Infinity` become. Any other infinite float comes
from a number too big for a double."""
TOO_BIG = "JSON Parse error: Number too big to be stored in double."
TOO_DEEP = "JSON Parse error: The document is nested too deeply."
_CONSTANTS = {"Infinity": INFINITY, "-Infinity": MINUS_INFINITY, "NaN": float("nan")}
_UNCOMMON = ("-NaN", "Inf", "-Inf")
# A string that does not end is passed over as well: looked into from each of its quotes, a long one
# would take for ever.
_STRING_OR_UNCOMMON = re.compile(r'"(?:[^"\\]|\\.)*+"?|-NaN|-?Inf(?!inity)', re.DOTALL)
_QUOTED = 500
"""Characters of a JSON value that a message repeats."""
_TYPES = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}
# The json module's words, and RapidJSON's for the same mistake.
_PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma or a closing bracket.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
}


def parse_object(body: bytes | bytearray) -> dict[str, Any]:
    """Reads a body that must begin with a JSON object; what follows it does not count.

    Bytes that are no UTF-8 survive inside strings, as they do in the real server.

    Raises:
      ServingError: INVALID_ARGUMENT.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    try:
        try:
            document = _root(text)
        except json.JSONDecodeError as error:
            if not text.startswith(_UNCOMMON, error.pos):
                raise
            text = _STRING_OR_UNCOMMON.sub(_in_common_words, text)
            document = _root(text)
    except json.JSONDecodeError as error:
        offset = len(text[: error.pos].encode("utf-8", "surrogateescape"))
        reason = _PARSE_ERRORS.get(error.msg.removesuffix(": "), error.msg)
        if text.isspace():
            reason = "The document is empty."
        raise invalid(f"JSON Parse error: {reason} at offset: {offset}") from None
    except RecursionError:
        raise invalid(TOO_DEEP) from None
    except ValueError:  # Python's limit on the digits of an integer
        raise invalid(TOO_BIG) from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {quoted(document)} Is not object")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names; "" if it names none.

    Raises:
      ServingError: INVALID_ARGUMENT if it is no string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {quoted(document)} not formatted correctly. 'signature_name' key must "
            "be a string value."
        )
    return name


def is_too_big(value: int | float) -> bool:
    """Whether a number is beyond a double without having been written as infinite: 1e999 is."""
    try:
        is_infinite = math.isinf(value)
    except OverflowError:
        return True
    return is_infinite and value is not INFINITY and value is not MINUS_INFINITY


def is_base64(value: Any) -> bool:
    """Whether a JSON value is `{"b64": "..."}` and nothing else."""
    return type(value) is dict and len(value) == 1 and isinstance(value.get("b64"), str)


def decode_string(value: Any) -> bytes:
    """The bytes of a JSON string or of `{"b64": "..."}`.

    Raises:
      ServingError: INVALID_ARGUMENT.
    """
    if type(value) is str:
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from None
    if not is_base64(value):
        raise invalid(f"JSON Value: {quoted(value)} not formatted correctly for base64 data")
    try:
        return _base64(value["b64"])
    except ValueError:
        raise invalid("Unable to base64 decode") from None


def json_type(value: Any) -> str:
    """RapidJSON's name for the type of a value, as in "Array"."""
    if isinstance(value, bool):
        return str(value)
    return _TYPES[type(value)]


def decimals(values: np.ndarray) -> list[str]:
    """Floats as the real server writes them.

    Six digits if these read back as the same number, else 9 for float32 and 17 for float64; whole
    numbers end in `.0`; `NaN`, `Infinity` and `-Infinity` are bare words.

    Args:
      values: float32 or float64 [n]. float16 is taken as float32.
    """
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    numbers = values.tolist()
    made = _formatted("%.6g", numbers)
    back = np.array(list(map(float, made)), np.float64).astype(values.dtype)
    wrong = np.flatnonzero(back != values).tolist()
    full = "%.9g" if values.dtype == np.float32 else "%.17g"
    for place, text in zip(wrong, _formatted(full, [numbers[n] for n in wrong]), strict=True):
        made[place] = text
    return [text if "." in text or "e" in text else _whole(text) for text in made]


def write_string(value: bytes) -> str:
    """A JSON string; bytes that are no UTF-8 become surrogates, to be encoded with
    `surrogateescape`."""
    return json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False)


def quoted(value: Any) -> str:
    """A JSON value as messages show it: pretty-printed, and cut."""
    if isinstance(value, str) and len(value) > _QUOTED:
        value = value[:_QUOTED]
    made = ""
    for piece in json.JSONEncoder(ensure_ascii=False, indent=4).iterencode(value):
        made += piece[:_QUOTED]
        if len(made) > _QUOTED:
            made = made[:_QUOTED] + "..."
            break
    # A lone surrogate cannot be sent.
    return made.encode("utf-8", "replace").decode()


def _root(text: str) -> Any:
    begin = len(text) - len(text.lstrip(" \t\n\r"))
    return _DECODER.raw_decode(text, begin)[0]


def _in_common_words(found: re.Match[str]) -> str:
    """`-NaN`, `Inf` and `-Inf`, which RapidJSON reads, as Python's reader knows them."""
    text = found[0]
    if text.startswith('"'):
        return text
    return "NaN" if text == "-NaN" else f"{text}inity"


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else dict(reversed(pairs))


_DECODER = json.JSONDecoder(object_pairs_hook=_first_of_each, parse_constant=_CONSTANTS.__getitem__)


def _base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        # Like absl::Base64Unescape: white space does not count, padding may be left out or dots.
        packed = "".join(text.split())
        digits = packed.rstrip("=.")
        missing = -len(digits) % 4
        if missing == 3 or len(packed) - len(digits) not in (0, missing):
            raise
        return binascii.a2b_base64(digits + "=" * missing, strict_mode=True)


def _formatted(pattern: str, numbers: list[float]) -> list[str]:
    # One call for all of them: embeddings come by the ten thousand.
    return (f"{pattern} " * len(numbers) % tuple(numbers)).split()


def _whole(text: str) -> str:
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text) or text + ".0"

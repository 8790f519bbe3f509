"""REST bodies of Classify and Regress, checked.

After `tensorflow_serving/util/json_tensor.cc`, with its messages. Nothing is made of the examples:
signatures of these kinds are refused once the body is found to be sound (see `methods`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.server.errors import invalid
from serving.server.json_text import decode_string, is_base64, json_type, quoted

_LARGEST_FLOAT = float(np.finfo(np.float32).max)


def check_examples(document: Mapping[str, Any]) -> None:
    """Looks through the `examples` of a body, and their `context`.

    Raises:
      ServingError: INVALID_ARGUMENT.
    """
    if "context" in document:
        _check_example(document["context"])
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {quoted(document)} When method is classify, key 'examples' is expected "
            "and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(
            f"JSON Value: {quoted(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise invalid(f"JSON Value: {quoted(document)} 'examples' value is an empty array")
    for example in examples:
        _check_example(example)


def _check_example(value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {json_type(value)}")
    for name, content in value.items():
        present = None
        for element in content if isinstance(content, list) else [content]:
            kind = _kind(element, name)
            if present not in (None, kind):
                raise invalid(
                    f"Unexpected element type in feature: {name} expecting type: {present}"
                )
            present = kind


def _kind(value: Any, name: str) -> str:
    """What list of a Feature a value goes into: bytes, float or int64."""
    if isinstance(value, str) or is_base64(value):
        decode_string(value)
        return "bytes"
    if isinstance(value, float):
        if np.isfinite(value) and abs(value) > _LARGEST_FLOAT:
            raise invalid(
                f"Cannot convert JSON value: {quoted(value)} to float without loss of precision."
            )
        return "float"
    if isinstance(value, int):  # a bool, too
        if not -(2**63) <= value < 2**63:
            raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
        return "int64"
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")

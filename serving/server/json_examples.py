"""REST bodies of Classify and Regress to serialized tf.Examples.

After `tensorflow_serving/util/json_tensor.cc`, with its messages.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2

from serving.server.errors import invalid
from serving.server.json_text import (
    TOO_BIG,
    decode_string,
    is_base64,
    is_too_big,
    json_type,
    quoted,
)


def read_examples(document: Mapping[str, Any]) -> list[bytes]:
    """The `examples` of a body, each with the features of its `context`.

    Raises:
      ServingError: INVALID_ARGUMENT.
    """
    # Merged as protobuf merges: by appending.
    context = b""
    if "context" in document:
        context = _example(document["context"]).SerializeToString()
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
    return [context + _example(value).SerializeToString() for value in examples]


def _example(value: Any) -> example_pb2.Example:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {json_type(value)}")
    made = example_pb2.Example()
    for name, content in value.items():
        # A protobuf's names are UTF-8.
        known = name.encode("utf-8", "replace").decode()
        feature = made.features.feature[known]
        for element in content if isinstance(content, list) else [content]:
            _add(feature, element, name)
    return made


def _add(feature: feature_pb2.Feature, value: Any, name: str) -> None:
    kind, stored = _typed(value, name)
    present = feature.WhichOneof("kind")
    if present not in (None, f"{kind}_list"):
        raise invalid(
            f"Unexpected element type in feature: {name} expecting type: "
            f"{present.removesuffix('_list')}"
        )
    getattr(feature, f"{kind}_list").value.append(stored)


def _typed(value: Any, name: str) -> tuple[str, bytes | float | int]:
    """What list of a Feature a value goes into (bytes, float or int64), and as what."""
    if isinstance(value, str) or is_base64(value):
        return "bytes", decode_string(value)
    if isinstance(value, int | float) and is_too_big(value):
        raise invalid(TOO_BIG)
    # An integer beyond 64 bits is a double to RapidJSON.
    if isinstance(value, float) or (isinstance(value, int) and not -(2**63) <= value < 2**64):
        with np.errstate(over="ignore"):
            return "float", float(np.float32(value))
    if isinstance(value, int):  # a bool, too
        if value >= 2**63:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        return "int64", int(value)
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")

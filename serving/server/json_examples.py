"""REST bodies of Classify and Regress to protos, and their results to JSON.

After `tensorflow_serving/util/json_tensor.cc`, with its messages.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server.errors import invalid
from serving.server.json_text import decimals, decode_string, is_base64, json_type, quoted

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}
_LARGEST_FLOAT = float(np.finfo(np.float32).max)


def read_examples(document: Mapping[str, Any]) -> input_pb2.Input:
    """The examples of a body, and their context if there is one.

    Raises:
      ServingError: INVALID_ARGUMENT.
    """
    made = input_pb2.Input()
    target = made.example_list.examples
    if "context" in document:
        target = made.example_list_with_context.examples
        made.example_list_with_context.context.CopyFrom(_example(document["context"]))
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
    target.extend(map(_example, examples))
    return made


def write_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """The answer of a Classify request: for each example its labels and scores."""
    if not result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    rows = []
    for classes in result.classifications:
        scores = decimals(np.array([each.score for each in classes.classes], np.float32))
        labels = [json.dumps(each.label, ensure_ascii=False) for each in classes.classes]
        pairs = (f"[{label}, {score}]" for label, score in zip(labels, scores, strict=True))
        rows.append("[" + ", ".join(pairs) + "]")
    return ('{"results": [' + ", ".join(rows) + "]}").encode()


def write_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """The answer of a Regress request: a number for each example."""
    if not result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    values = decimals(np.array([each.value for each in result.regressions], np.float32))
    return ('{"results": [' + ", ".join(values) + "]}").encode()


def _example(value: Any) -> example_pb2.Example:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {json_type(value)}")
    made = example_pb2.Example()
    for name, content in value.items():
        # A key with a lone surrogate is no UTF-8, which protobuf asks for.
        if not name.isascii():
            decode_string(name)
        feature = feature_pb2.Feature()
        for element in content if isinstance(content, list) else [content]:
            _add(element, name, feature)
        try:
            made.features.feature[name].CopyFrom(feature)
        except (UnicodeError, ValueError):
            raise invalid(f"Feature: {quoted(name)} is not named in UTF-8") from None
    return made


def _add(value: Any, name: str, feature: feature_pb2.Feature) -> None:
    number: Any
    if isinstance(value, str) or is_base64(value):
        kind, number = "bytes_list", decode_string(value)
    elif isinstance(value, float):
        if np.isfinite(value) and abs(value) > _LARGEST_FLOAT:
            raise invalid(
                f"Cannot convert JSON value: {quoted(value)} to float without loss of precision."
            )
        kind, number = "float_list", value
    elif isinstance(value, int):  # a bool, too
        kind, number = "int64_list", int(value)
    else:
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")
    present = feature.WhichOneof("kind")
    if present not in (None, kind):
        raise invalid(
            f"Unexpected element type in feature: {name} expecting type: {_KINDS[present]}"
        )
    if kind == "int64_list" and not -(2**63) <= number < 2**63:
        raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
    getattr(feature, kind).value.append(number)

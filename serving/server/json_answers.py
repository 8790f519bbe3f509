"""The REST answers of Predict, Classify and Regress.

After `tensorflow_serving/util/json_tensor.cc`.
"""

import binascii
import json
import math
from collections.abc import Iterable, Mapping

import numpy as np
from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving.server.errors import invalid
from serving.server.json_tensors import type_name
from serving.server.json_text import decimals, write_string


def write_predict(outputs: Mapping[str, np.ndarray], is_row: bool) -> bytes:
    """The answer of a Predict request.

    Strings that are no UTF-8 are written as they are, as the real server does; an output whose
    name ends in `_bytes` is written in base64.

    Args:
      outputs: arrays by name; strings are object arrays of bytes.
      is_row: `predictions`, one value or object for each row; else `outputs`.

    Raises:
      ServingError: INVALID_ARGUMENT if there is no output, if a dtype has no JSON form, or if
        outputs differ in their first dimension in row format.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    names = sorted(outputs)
    if is_row:
        _check_batch(outputs)
        columns = [_rows(name, outputs[name]) for name in names]
        rows = (
            columns[0]
            if len(names) == 1
            else [_object(names, row) for row in zip(*columns, strict=True)]
        )
        text = '{"predictions": [' + ", ".join(rows) + "]}"
    else:
        values = [_columns(name, outputs[name]) for name in names]
        text = '{"outputs": ' + (values[0] if len(names) == 1 else _object(names, values)) + "}"
    return text.encode("utf-8", "surrogateescape")


def write_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """The answer of a Classify request: for each example a list of [label, score]."""
    rows = [
        [
            f"[{write_string(each.label.encode())}, {score}]"
            for each, score in zip(found.classes, _scores(found.classes), strict=True)
        ]
        for found in result.classifications
    ]
    text = ", ".join(f"[{', '.join(row)}]" for row in rows)
    return f'{{"results": [{text}]}}'.encode()


def write_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """The answer of a Regress request: for each example its value."""
    values = decimals(np.array([each.value for each in result.regressions], np.float32))
    return f'{{"results": [{", ".join(values)}]}}'.encode()


def _scores(classes: Iterable[classification_pb2.Class]) -> list[str]:
    return decimals(np.array([each.score for each in classes], np.float32))


def _check_batch(outputs: Mapping[str, np.ndarray]) -> None:
    size = None
    for name, array in outputs.items():
        if not array.shape:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size is not None and array.shape[0] != size:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} "
                f"expecting: {size}"
            )
        size = array.shape[0]


def _tokens(name: str, array: np.ndarray) -> list[str]:
    """Each value as JSON, in row-major order."""
    flat = array.reshape(-1)
    kind = array.dtype.kind
    if kind == "f" and array.dtype.itemsize <= 8:
        return decimals(flat)
    if kind == "b":
        return ["true" if value else "false" for value in flat.tolist()]
    if kind in "iu" and array.dtype.isbuiltin == 1:
        return list(map(str, flat.tolist()))
    if kind == "O" and name.endswith("_bytes"):
        return [
            f'{{"b64": "{binascii.b2a_base64(value, newline=False).decode()}"}}' for value in flat
        ]
    if kind == "O":
        return [write_string(value) for value in flat]
    raise invalid(f"Failed to write JSON value for tensor type: {type_name(array.dtype)}")


def _rows(name: str, array: np.ndarray) -> list[str]:
    return _nested(_tokens(name, array), array.shape, outer=1)


def _columns(name: str, array: np.ndarray) -> str:
    return _nested(_tokens(name, array), array.shape, outer=0)[0]


def _nested(tokens: list[str], shape: tuple[int, ...], outer: int) -> list[str]:
    """Puts brackets around all dimensions but the `outer` first ones."""
    for level in reversed(range(outer, len(shape))):
        size, count = shape[level], math.prod(shape[:level])
        tokens = [
            "[" + ", ".join(tokens[number * size : (number + 1) * size]) + "]"
            for number in range(count)
        ]
    return tokens


def _object(names: list[str], values: Iterable[str]) -> str:
    pairs = (f"{json.dumps(n)}: {value}" for n, value in zip(names, values, strict=True))
    return "{" + ", ".join(pairs) + "}"

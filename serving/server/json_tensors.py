"""REST bodies of Predict to named arrays.

The rules and the messages are those of TensorFlow Serving
(`tensorflow_serving/util/json_tensor.cc`). Three things are decided here, where that code has no
answer worth copying: an integer that its dtype cannot hold is refused instead of wrapped around,
of a key that comes twice the first counts everywhere, and values quoted in messages are cut.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import numpy as np

from serving.server.errors import ServingError, invalid
from serving.server.json_text import (
    TOO_BIG,
    TOO_DEEP,
    decode_string,
    is_base64,
    is_too_big,
    json_type,
    quoted,
    signature_name,
)
from serving.server.servable import Signature, TensorInfo

_MAX_RANK = 64
"""What NumPy can hold."""
_TYPE_NAMES = {"float32": "float", "float64": "double", "float16": "half", "object": "string"}
_FLOATS = ("float32", "float64")


@dataclass(frozen=True)
class PredictRequest:
    """What a body asks for.

    Attributes:
      inputs: arrays by name; strings are object arrays of bytes.
      is_row: whether the body had `instances`, and the answer has `predictions`.
    """

    inputs: dict[str, np.ndarray]
    is_row: bool


def read_predict(document: Mapping[str, Any], signature: Signature) -> PredictRequest:
    """Reads the inputs of a Predict request.

    Args:
      document: the body, see `parse_object`.
      signature: the one that the body names.

    Raises:
      ServingError: INVALID_ARGUMENT, or UNIMPLEMENTED for dtypes without a JSON form.
    """
    infos = signature.inputs
    if not infos:
        name = signature_name(document)
        raise invalid(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    try:
        if "instances" in document and "inputs" in document:
            raise invalid(
                f"JSON Value: {quoted(document)} Not formatted correctly expecting only one of "
                "'inputs' or 'instances' keys to exist "
            )
        if "instances" in document:
            return PredictRequest(_from_rows(document, infos), is_row=True)
        if "inputs" in document:
            return PredictRequest(_from_columns(document["inputs"], infos), is_row=False)
    except RecursionError:
        raise invalid(TOO_DEEP) from None
    raise invalid("Missing 'inputs' or 'instances' key")


def row_counts(document: Mapping[str, Any], signature: Signature) -> dict[str, tuple[int, ...]]:
    """How many rows each input of a body claims to have, as a shape; nothing of what is no list."""
    rows = document.get("instances")
    if isinstance(rows, list):
        return {name: (len(rows),) for name in signature.inputs}
    columns: Any = document.get("inputs")
    if not _is_named(columns):
        columns = dict.fromkeys(signature.inputs, columns)
    return {
        name: (len(column),)
        for name in signature.inputs
        if isinstance(column := columns.get(name), list)
    }


def type_name(dtype: np.dtype) -> str:
    """TensorFlow's name of a dtype, as in "float"."""
    return _TYPE_NAMES.get(dtype.name, dtype.name)


def _from_rows(document: Mapping[str, Any], infos: Mapping[str, TensorInfo]) -> dict[str, Any]:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {quoted(document)} Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {quoted(document)} No values in 'instances' array")
    if not isinstance(rows[0], dict) and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    if not _is_named(rows[0]):
        name = min(infos)
        tensor = None if any(map(_is_named, rows)) else _tensor(rows, infos[name])
        if tensor is None:
            _explain_rows(rows, infos)
        return {name: tensor}
    if not all(_is_named(row) and row.keys() == infos.keys() for row in rows):
        _explain_rows(rows, infos)
    tensors = {name: _tensor([row[name] for row in rows], info) for name, info in infos.items()}
    if any(tensor is None for tensor in tensors.values()):
        _explain_rows(rows, infos)
    return tensors


def _is_named(row: Any) -> bool:
    return type(row) is dict and not is_base64(row)


def _from_columns(value: Any, infos: Mapping[str, TensorInfo]) -> dict[str, np.ndarray]:
    if not _is_named(value):
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        value = {min(infos): value}
    made = {}
    for name in sorted(infos):
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        tensor = _tensor(value[name], infos[name])
        if tensor is None:
            shape = _shape(value[name])
            _check(value[name], 0, shape, infos[name].dtype)
            raise invalid(
                f"Tensor of rank {len(shape)} is over the limit of {_MAX_RANK} dimensions"
            )
        made[name] = tensor
    return made


def _shape(value: Any) -> tuple[int, ...]:
    """The shape that the first elements promise."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _tensor(value: Any, info: TensorInfo) -> np.ndarray | None:
    """The array, or None if anything is wrong; what is wrong is looked up by `_check`, slowly."""
    shape = _shape(value)
    if len(shape) > _MAX_RANK:
        return None
    flat = [value]
    for size in shape:
        if set(map(type, flat)) - {list} or set(map(len, flat)) - {size}:
            return None
        flat = list(itertools.chain.from_iterable(flat))
    values = _values(flat, info.dtype)
    return None if values is None else values.reshape(shape)


def _values(flat: list[Any], dtype: np.dtype) -> np.ndarray | None:
    """Scalars as an array, or None if one of them does not fit."""
    if not flat:
        return np.empty(0, dtype)
    types = set(map(type, flat))
    if dtype.kind == "O":
        if types - {str, dict}:
            return None
        made = np.empty(len(flat), object)
        try:
            made[:] = [decode_string(value) for value in flat]
        except ServingError:
            return None
        return made
    if dtype.kind == "b":
        return None if types - {bool} else np.array(flat, bool)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if types - {int} or not limits.min <= min(flat) <= max(flat) <= limits.max:
            return None
        return np.array(flat, dtype)
    if dtype.name not in _FLOATS or types - {int, float}:
        return None
    try:
        made = np.array(flat, np.float64)
    except OverflowError:
        return None
    if np.isinf(made).any() and any(map(is_too_big, flat)):
        return None
    # As a cast in C: what is beyond a float is infinite.
    with np.errstate(over="ignore"):
        return made.astype(dtype, copy=False)


def _explain_rows(rows: list[Any], infos: Mapping[str, TensorInfo]) -> NoReturn:
    """Finds the first thing wrong in `instances`, in the order of the real server."""
    named = _is_named(rows[0])
    shapes: dict[str, tuple[int, ...]] = {}
    for number, row in enumerate(rows):
        where = f"Failed to process element: {number}"
        if named != _is_named(row):
            raise invalid(
                f"Expecting object but got list at item {number} of input list"
                if named
                else f"Expecting value/list but got object at item {number} of input list"
            )
        for name, value in row.items() if named else [(min(infos), row)]:
            key = f" key: {name}" if named else ""
            try:
                _check_item(value, name, infos, shapes)
            except ServingError as error:
                raise invalid(
                    f"{where}{key} of 'instances' list. Error: INVALID_ARGUMENT: {error.message}"
                ) from None
        if named and row.keys() != infos.keys():
            raise invalid(
                f"{where} of 'instances' list. JSON object: {quoted(row)} keys must be equal to: "
                + ",".join(sorted(infos))
            )
    raise invalid(f"Tensors of over {_MAX_RANK} dimensions are not supported")


def _check_item(
    value: Any, name: str, infos: Mapping[str, TensorInfo], shapes: dict[str, tuple[int, ...]]
) -> None:
    if name not in infos:
        raise invalid(f"JSON object: does not have named input: {name}")
    shape = _shape(value)
    _check(value, 0, shape, infos[name].dtype)
    expected = shapes.setdefault(name, shape)
    if math.prod(expected) != math.prod(shape):
        raise invalid(f"Expecting tensor size: {math.prod(expected)} but got: {math.prod(shape)}")
    if expected != shape:
        raise invalid(f"Expecting shape {_listed(expected)} but got: {_listed(shape)}")


def _listed(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def _check(value: Any, level: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """FillTensorProto without the filling: raises for the first value that is wrong."""
    if isinstance(value, list):
        if level >= len(shape):
            raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise invalid(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected "
                f"size: {shape[level]}"
            )
        for element in value:
            _check(element, level + 1, shape, dtype)
        return
    if level != len(shape):
        raise invalid(
            f"JSON Value: {quoted(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    _check_scalar(value, dtype)


def _check_scalar(value: Any, dtype: np.dtype) -> None:
    if _values([value], dtype) is not None:
        return
    if dtype.kind == "O" and isinstance(value, str | dict):
        decode_string(value)
    if dtype.name in _FLOATS and type(value) in (int, float):
        raise invalid(TOO_BIG)
    if dtype.kind not in "Obiu" and dtype.name not in _FLOATS:
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"Conversion of JSON Value: {quoted(value)} to type: {type_name(dtype)}",
        )
    raise invalid(
        f"JSON Value: {quoted(value)} Type: {json_type(value)} is not of expected type: "
        f"{type_name(dtype)}"
    )

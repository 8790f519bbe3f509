"""TensorProto to numpy and back.

`tf.make_ndarray` fills up to whatever shape a client claims, so that 20 bytes may ask for
terabytes; here the shape must agree with the values.
"""

import math
from collections.abc import Mapping, MutableMapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.server.errors import invalid
from serving.server.servable import TensorInfo

_FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_STRING: "string_val",
}
_MAX_RANK = 64
"""What NumPy can hold."""
_MOST_REPEATED = 1 << 16
"""Values that may be left out of a proto, as TensorProto allows."""


class Declared(NamedTuple):
    """What a proto says that it holds."""

    dtype: np.dtype
    shape: tuple[int, ...]


def declared(proto: tensor_pb2.TensorProto) -> Declared:
    """What a proto says of itself, whether or not it holds as many values.

    Raises:
      ServingError: INVALID_ARGUMENT, its type or its shape makes no sense.
    """
    try:
        return _declared(proto)
    except ValueError as error:
        raise invalid(f"tensor parsing error: {error}") from error


def to_arrays(protos: Mapping[str, tensor_pb2.TensorProto]) -> dict[str, np.ndarray]:
    """All inputs of a request.

    Raises:
      ServingError: INVALID_ARGUMENT, one cannot be read.
    """
    arrays = {}
    for name, proto in protos.items():
        try:
            arrays[name] = _to_array(proto)
        except (ValueError, TypeError, OverflowError) as error:
            raise invalid(f"tensor parsing error: {name}: {error}") from error
    return arrays


def fill_all(
    protos: MutableMapping[str, tensor_pb2.TensorProto],
    arrays: Mapping[str, np.ndarray],
    infos: Mapping[str, TensorInfo],
) -> None:
    """Writes all outputs; see `fill`."""
    for name, array in arrays.items():
        fill(protos[name], array, infos[name])


def fill(proto: tensor_pb2.TensorProto, array: np.ndarray, info: TensorInfo) -> None:
    """Writes an output as the model server does: values in the field of their type.

    Types without a simple field (half, complex) go into `tensor_content`.
    """
    proto.dtype = info.tf_dtype
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    # A scalar has a shape, too, of no dimensions.
    proto.tensor_shape.SetInParent()
    field = _FIELDS.get(info.tf_dtype)
    if field is None:
        proto.tensor_content = array.tobytes()
    else:
        getattr(proto, field).extend(array.ravel().tolist())


def _declared(proto: tensor_pb2.TensorProto) -> Declared:
    if proto.tensor_shape.unknown_rank:
        raise ValueError("its shape is not known")
    if len(proto.tensor_shape.dim) > _MAX_RANK:
        raise ValueError(f"more than {_MAX_RANK} dimensions")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if any(size < 0 for size in shape):
        raise ValueError(f"shape {list(shape)} is not complete")
    try:
        return Declared(np.dtype(tf.dtypes.as_dtype(proto.dtype).as_numpy_dtype), shape)
    except (KeyError, TypeError):
        raise ValueError(f"type {proto.dtype} has no values") from None


def _to_array(proto: tensor_pb2.TensorProto) -> np.ndarray:
    dtype, shape = _declared(proto)
    count = math.prod(shape)
    field = _FIELDS.get(proto.dtype)
    if proto.tensor_content and proto.dtype != types_pb2.DT_STRING:
        values = np.frombuffer(proto.tensor_content, dtype)
    elif field is None:
        # Half and complex numbers have fields of their own encoding.
        if count > _MOST_REPEATED:
            raise ValueError(f"{count:,} values of this type must be in tensor_content")
        return tf.make_ndarray(proto)
    else:
        values = np.array(getattr(proto, field), dtype=dtype)
    missing = count - len(values)
    if missing < 0 or (missing and (missing > _MOST_REPEATED or proto.tensor_content)):
        raise ValueError(f"shape {list(shape)} does not fit {len(values):,} values")
    if missing:
        # As Tensor::FromProto: the last value stands for those that are left out.
        fill = values[-1] if len(values) else dtype.type() if dtype != np.object_ else b""
        values = np.concatenate([values, np.full(missing, fill, dtype)])
    return values.reshape(shape)

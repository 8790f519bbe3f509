"""Reads weights files of PyTorch without PyTorch, and without running anything that is in them.

Such a file is a row of pickles (https://github.com/pytorch/pytorch/blob/v1.5.0/torch/serialization.py,
`_legacy_save`): a magic number, the format's version, facts about the machine, tensors by name that
point into storages, names of the storages; then each storage's count and its values.
"""

import collections
import pickle
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Tensor(NamedTuple):
    storage: str
    dtype: np.dtype
    length: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Knows four names, and none of them does anything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place among weights")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype, int]:
        kind, dtype, name, _device, count, view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or view is not None:
            raise pickle.UnpicklingError("a storage of another kind")
        return str(name), dtype, int(count)


def _tensor(
    storage: tuple[str, np.dtype, int],
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    *_: Any,
) -> _Tensor:
    return _Tensor(*storage, offset, shape, strides)


def read_torch_file(file: BinaryIO) -> dict[str, np.ndarray]:
    """Reads all tensors of a file in PyTorch's format before 1.6.

    Returns:
      Name to float32 or int64 of the tensor's shape.

    Raises:
      ValueError: it is no such file, or a damaged one.
    """
    try:
        return _read(file)
    except ValueError:
        raise
    # What bytes of another kind make of a pickle can be anything.
    except Exception as error:
        raise ValueError(f"no PyTorch file of weights, or a damaged one ({error})") from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    magic, version, _machine = (_Unpickler(file).load() for _ in range(3))
    if (magic, version) != (_MAGIC, _VERSION):
        raise ValueError("no PyTorch file of weights")
    tensors = dict(_Unpickler(file).load())
    dtypes = {tensor.storage: (tensor.dtype, tensor.length) for tensor in tensors.values()}
    storages = {}
    for name in _Unpickler(file).load():
        dtype, count = dtypes[name]
        if int.from_bytes(file.read(8), "little") != count:
            raise ValueError(f"storage {name} does not have its {count} values")
        storages[name] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return {name: _values(storages[tensor.storage], tensor) for name, tensor in tensors.items()}


def _values(storage: np.ndarray, tensor: _Tensor) -> np.ndarray:
    steps = list(zip(tensor.shape, tensor.strides, strict=True))
    last = tensor.offset + sum((size - 1) * stride for size, stride in steps)
    # NumPy would read whatever memory lies there.
    if min([tensor.offset, *tensor.shape, *tensor.strides]) < 0 or last >= len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    return np.lib.stride_tricks.as_strided(
        storage[tensor.offset :],
        tensor.shape,
        [stride * storage.itemsize for stride in tensor.strides],
        writeable=False,
    )

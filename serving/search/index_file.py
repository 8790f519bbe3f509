"""The file of an index: NumPy's .npz with two arrays.

`embeddings` is float32 [N, D]; `manifest` is the bytes of a JSON object that says what each row is.
"""

import errno
import json
import math
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from core.errors import DexmatchError
from core.files import open_atomically
from serving.client.base import Floats

_EMBEDDINGS, _MANIFEST = "embeddings.npy", "manifest.npy"
_MAX_MANIFEST_BYTES = 256 * 2**20
"""Millions of pictures. Read as JSON, it may take twenty times as much memory."""
_NPY_VERSION = (1, 0)
"""Of NumPy's format, as it writes arrays like ours."""

_Made = TypeVar("_Made")


def write(path: Path, embeddings: Floats, manifest: Mapping[str, Any]) -> None:
    """Writes the file, whole or not at all.

    Raises:
      OSError: it cannot be written there.
    """
    # File names need not be Unicode; as ASCII, JSON keeps the odd bytes that Python found.
    encoded = np.frombuffer(json.dumps(manifest, ensure_ascii=True).encode(), np.uint8)
    if len(encoded) > _MAX_MANIFEST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    with open_atomically(path) as file:
        np.savez(file, embeddings=embeddings, manifest=encoded)


def read(path: Path, make: Callable[[Floats, Mapping[str, Any]], _Made]) -> _Made:
    """Reads the file.

    Args:
      path: of the file.
      make: of embeddings and manifest, what is returned; it may raise anything if they are not as
        they should be.

    Raises:
      DexmatchError: the file is no index, or is damaged.
      FileNotFoundError: there is none.
    """
    try:
        # Of a pipe, reading would wait for whoever writes into it.
        if path.exists() and not path.is_file():
            raise _no_index(path)
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_MANIFEST).file_size > _MAX_MANIFEST_BYTES:
                raise _no_index(path)
            manifest = json.loads(_array(archive, _MANIFEST, np.uint8).tobytes())
            embeddings = _array(archive, _EMBEDDINGS, np.float32)
        return make(embeddings, manifest)
    except (FileNotFoundError, DexmatchError):
        raise
    except OSError as error:
        raise DexmatchError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # NumPy and zipfile let many kinds of error out of broken files.
        raise _no_index(path) from error


def _array(archive: zipfile.ZipFile, name: str, kind: type[np.generic]) -> np.ndarray:
    """An array of a .npz file, none of it made before it is known to be as large as it says.

    Raises:
      ValueError: it is of another type or size, packed, or of another format.
    """
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError("packed")
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != _NPY_VERSION:
            raise ValueError("version")
        shape, is_fortran, found = np.lib.format.read_array_header_1_0(file)
        size = member.file_size - file.tell()
        if found != kind or is_fortran or math.prod(shape) * found.itemsize != size:
            raise ValueError("size")
        return np.frombuffer(file.read(), found).reshape(shape)


def _no_index(path: Path) -> DexmatchError:
    return DexmatchError(
        f"{path}: no index of dexmatch, or a damaged one; delete it, or name another by --index"
    )

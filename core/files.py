"""Files and folders on disk: whole or not at all, named so that any library reads them, how big,
and what is in them.
"""

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from core.errors import DexmatchError

_OPEN_FILES = "/proc/self/fd"  # Not on macOS.
_PLAIN = re.compile(r"[A-Za-z0-9_./+=@,~-]*")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file whole or not at all, in place of one that may be there.

    Args:
      path: of the file.
      content: text is written as UTF-8.

    Raises:
      DexmatchError: it cannot be written there.
    """
    try:
        with open_atomically(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise DexmatchError(f"{path}: cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that appears under its name when the block ends, whole or not at all.

    Until then it is a hidden file in the same folder, which an error in the block removes. The
    content is on disk before the name is, so that a power cut leaves the old file or the new one.

    Args:
      path: of the file; what is there is replaced.

    Yields:
      The file to write to.

    Raises:
      OSError: it cannot be written there.
    """
    hidden = path.with_name(f".{path.name.removeprefix('.')}.{secrets.token_hex(4)}.part")
    # Not `tempfile`, whose files nobody but their owner may read.
    with hidden.open("xb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            hidden.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                hidden.unlink()
            raise


@contextlib.contextmanager
def plain_name(folder: Path | str) -> Iterator[str]:
    """Lends a folder a name, inside the block and in this process, that is no pattern to anybody.

    TensorFlow and TFMA look for files by patterns that begin with the folder's own name, in which
    `[v2]` would stand for `v` or `2`, and they do not let it be quoted everywhere.

    Args:
      folder: one that exists.

    Yields:
      The path of the folder; where its own holds anything but letters and digits of ASCII and the
      harmless marks, one by way of the system's table of open files, or of a link where the system
      has no such table.

    Raises:
      OSError: there is no such folder.
    """
    if _PLAIN.fullmatch(str(folder)):
        yield str(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if os.path.isdir(_OPEN_FILES):
            yield f"{_OPEN_FILES}/{descriptor}"
            return
        with tempfile.TemporaryDirectory() as scratch:
            link = os.path.join(scratch, "folder")
            os.symlink(os.path.abspath(folder), link)
            yield link
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """A file's SHA-256, in hex.

    Raises:
      OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_size(folder: Path) -> int:
    """Bytes that the files in a folder and below it hold."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())

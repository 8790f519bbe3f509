"""Files and folders on disk: writing a file whole or not at all, and the size of a folder."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from core.errors import DexmatchError


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


def folder_size(folder: Path) -> int:
    """Bytes that the files in a folder and below it hold."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())

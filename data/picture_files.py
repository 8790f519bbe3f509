"""Reads picture files named by a source, and never anything outside the picture folder."""

import errno
import os
import posixpath
import stat
from pathlib import Path

from data.pictures import MAX_BYTES
from data.records import Reason, Rejected


def tidy(name: str) -> str:
    """One spelling per path: `./a//b.png` and `a/b.png` are the same picture."""
    return posixpath.normpath(name)


def read(folder: Path, name: str) -> bytes:
    """Reads a picture file.

    Args:
      folder: the picture folder.
      name: path relative to it, as the source has it.

    Returns:
      The file's content.

    Raises:
      Rejected: it is missing, no regular file, not readable, too large, or outside the folder,
        be it by an absolute path, by `..` or by a symbolic link.
    """
    try:
        with open(_inside(folder, name), "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Rejected(Reason.NOT_A_FILE, "not a regular file")
            if status.st_size > MAX_BYTES:
                detail = f"{status.st_size:,} bytes, more than {MAX_BYTES:,}"
                raise Rejected(Reason.TOO_LARGE, detail)
            return file.read()
    except OSError as error:
        raise _rejection(error) from error


def _inside(folder: Path, name: str) -> str:
    """The real path, which lies in the folder."""
    if os.path.isabs(name):
        raise Rejected(Reason.OUTSIDE_FOLDER, "absolute path; write it relative to the folder")
    root = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(root, name))
    if os.path.commonpath([root, path]) != root:
        raise Rejected(Reason.OUTSIDE_FOLDER, "leads out of the picture folder")
    return path


def _open_without_waiting(path: str, flags: int) -> int:
    """Opens a named pipe without waiting for its writer, so that it can be turned away."""
    return os.open(path, flags | os.O_NONBLOCK)


def _rejection(error: OSError) -> Rejected:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Rejected(Reason.FILE_NOT_FOUND, "no such file")
    if error.errno == errno.EISDIR:
        return Rejected(Reason.NOT_A_FILE, "a folder")
    return Rejected(Reason.NOT_READABLE, error.strerror or type(error).__name__)

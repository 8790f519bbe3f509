"""What keeps files from being written, in one line: a full disk, a folder that is not ours.

Every library tells it in its own way: as an `OSError`, as an error of TensorFlow's, of SQLite's, or
as the text of a worker's stack trace. So the whole chain of an error is looked through.
"""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.errors import DexmatchError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_TOLD = _FULL | {errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.ENOTDIR, errno.EIO}

# SQLite's own words first; "No space left" holds for TensorFlow, for Beam, and for a stack trace.
_WORDS = {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
    **{os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)},
}
# Who else is denied something may be a server or a device: of files TensorFlow and Python tell the
# path beside it.
_DENIED = re.compile(
    r"(?P<tensorflow>/[^\n;]*); Permission denied"
    r"|\[Errno 13\] Permission denied: '(?P<python>[^'\n]*)'"
)


@contextlib.contextmanager
def explained(*folders: Path) -> Iterator[None]:
    """Tells what keeps the block from writing as a user's mistake; other errors are let through.

    Args:
      folders: see `explain`.

    Raises:
      DexmatchError: it could not write.
    """
    try:
        yield
    except DexmatchError:
        raise
    except Exception as error:
        if told := explain(error, *folders):
            raise DexmatchError(told) from error
        raise


def explain(error: BaseException, *folders: Path) -> str | None:
    """What is wrong with a folder, if that is what an error comes from.

    Args:
      error: with its causes.
      folders: where something was written. Where an error does not say which of them it is, it is
        the one with the least space.

    Returns:
      One line that names the folder, how much is free there if it is full, and what to do; None if
      the error is another one.
    """
    seen: BaseException | None = error
    while seen is not None:
        if found := _look_at(seen):
            return _line(*found, folders)
        hidden = seen.__suppress_context__
        seen = seen.__cause__ or (None if hidden else seen.__context__)
    return None


def _look_at(error: BaseException) -> tuple[int, str, str | None] | None:
    """The number of the system's error behind this one, its words, and the path if it tells one."""
    if isinstance(error, OSError) and error.errno in _TOLD:
        path = error.filename2 or error.filename
        told = os.fsdecode(path) if isinstance(path, str | bytes) else None
        return error.errno, os.strerror(error.errno), told
    text = str(error)
    if found := _DENIED.search(text):
        path = found["tensorflow"] or found["python"]
        return errno.EACCES, os.strerror(errno.EACCES), path
    for words, number in _WORDS.items():
        if words in text:
            return number, words, None
    return None


def _line(number: int, reason: str, path: str | None, folders: tuple[Path, ...]) -> str:
    place = nearest_existing(Path(path)) if path else None
    if number in _FULL or place is None:
        above = place.parent if place and not place.is_dir() else place
        place = min(map(nearest_existing, folders), key=_free, default=above or Path.cwd())
    if number in _FULL:
        return (
            f"{place}: {reason}, {_free(place) / 1e6:,.1f} MB are free; make room there and start "
            "again"
        )
    return (
        f"{path or place}: {reason}, and {_owner(place)}; see to it that you may write there, or "
        "choose another folder"
    )


def nearest_existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _owner(place: Path) -> str:
    try:
        return f"{place} belongs to {place.owner()}"
    except (KeyError, OSError):
        return f"{place} belongs to user {os.lstat(place).st_uid}"

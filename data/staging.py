"""A folder that appears whole or not at all.

The work is done in a hidden sibling, which takes the folder's name when all is written. A killed
import leaves the sibling behind; the next one to the same place clears it away.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.errors import DexmatchError
from data import dataset


@contextlib.contextmanager
def staged(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Gives a folder to fill, which is removed unless it is published.

    Args:
      target: absolute path where the folder shall appear.
      overwrite: whether a data set that is there may be replaced.

    Yields:
      The folder to fill; pass it to `publish` at the end.

    Raises:
      DexmatchError: something else is at the target, or another import is writing to it.
    """
    folder = target.with_name(f".{target.name}.importing")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise DexmatchError(f"{target}: cannot be written ({error.strerror})") from error
    with _locked(folder, target):
        try:
            _restore(target)
            check_target(target, overwrite=overwrite)
            _empty(folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Looks before long work whether its outcome may be put in its place.

    Args:
      target: absolute path where a folder shall appear.
      overwrite: whether a data set that is there may be replaced.

    Raises:
      DexmatchError: something else is there.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise DexmatchError(f"{target}: a file stands there; choose another folder")
    foreign = _foreign(target)
    if foreign is not None:
        raise DexmatchError(
            f"{target}: holds {foreign}, which is no part of a data set; choose another folder"
        )
    if not overwrite and any(target.iterdir()):
        raise DexmatchError(f"{target}: exists already; replace it with --overwrite")


def publish(folder: Path, target: Path) -> None:
    """Puts a filled folder in its place, instead of the data set that may be there."""
    _sync(folder)
    replaced = _replaced(target)
    if target.exists():
        target.rename(replaced)
    folder.rename(target)
    _sync(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, target: Path) -> Iterator[None]:
    """Keeps other imports away. The lock ends with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another import may have published or removed the folder since we opened it.
        if not os.path.samestat(os.fstat(descriptor), folder.stat()):
            raise FileNotFoundError
    except (BlockingIOError, FileNotFoundError) as error:
        os.close(descriptor)
        raise DexmatchError(f"{target}: another import is writing to it; wait for it") from error
    try:
        yield
    finally:
        os.close(descriptor)


def _replaced(target: Path) -> Path:
    """Where the old data set stands for the moment between two renames."""
    return target.with_name(f".{target.name}.replaced")


def _restore(target: Path) -> None:
    """Puts the old data set back if an import was killed at that moment."""
    replaced = _replaced(target)
    if replaced.exists() and not target.exists():
        replaced.rename(target)
    shutil.rmtree(replaced, ignore_errors=True)


def _foreign(target: Path) -> str | None:
    """A file in the folder that no import wrote, if there is one."""
    names = sorted(path.name for path in target.iterdir())
    try:
        # Shards may be missing or changed: all the more reason to import again.
        shards = {file.name for file in dataset.read_description(target).files}
        own = shards | {dataset.DESCRIPTION, dataset.REJECTS}
    except DexmatchError:
        own = set()
    return next((name for name in names if name not in own), None)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():  # Of a Beam job.
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(folder: Path) -> None:
    """Has the names in a folder on disk; the files' content is synced by who writes it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

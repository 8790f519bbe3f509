"""What keeps files from being written is told in one line."""

import errno
import os

import pytest
import tensorflow as tf

from core import disk
from core.errors import DexmatchError


def raised(error, cause=None):
    try:
        raise error from cause
    except type(error) as caught:
        return caught


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
WORKER = (
    "Traceback (most recent call last):\n  File ...\nOSError: [Errno 28] No space left on device"
)


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        raised(RuntimeError("while it ran"), FULL),
        RuntimeError(f"{WORKER} [while running 'Write/Write']"),
        tf.errors.ResourceExhaustedError(None, None, "/x/y; No space left on device"),
        RuntimeError("Error when executing query: database or disk is full"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    ],
)
def test_a_full_disk_is_told_with_what_is_free(tmp_path, error):
    told = disk.explain(error, tmp_path / "not" / "made")
    assert told.startswith(f"{tmp_path}: ")
    assert "MB are free; make room there and start again" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "{}/file"), "{}/file: Permission"),
        (OSError(errno.EROFS, "Read-only file system", "{}/file"), "{}/file: Read-only"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "{}/file"), "{}/file: Not a"),
        (tf.errors.PermissionDeniedError(None, None, "{}/file; Permission denied"), "{}/file: Per"),
        (RuntimeError("PermissionError: [Errno 13] Permission denied: '{}/file'"), "{}/file: Per"),
        (RuntimeError("attempt to write a readonly database"), "{}: attempt to write"),
        (RuntimeError("disk I/O error"), "{}: disk I/O error"),
    ],
)
def test_a_folder_of_someone_else_is_told_with_its_owner(tmp_path, error, place):
    if isinstance(error, OSError):
        error.filename = str(tmp_path / "file")
    elif isinstance(error, tf.errors.OpError):
        error = type(error)(None, None, error.message.format(tmp_path))
    else:
        error = RuntimeError(str(error).format(tmp_path))
    told = disk.explain(error, tmp_path)
    assert told.startswith(place.format(tmp_path))
    assert f"{tmp_path} belongs to {tmp_path.owner()}" in told


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Permission denied by the server"),
        FileNotFoundError(errno.ENOENT, "No such file", "/gone"),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        raised(KeyError("x")),
    ],
)
def test_other_errors_are_not_of_the_disk(tmp_path, error):
    assert disk.explain(error, tmp_path) is None
    with pytest.raises(type(error)), disk.explained(tmp_path):
        raise error


def test_what_was_dealt_with_is_no_cause(tmp_path):
    def fall_back():
        try:
            raise FULL
        except OSError:
            raise ValueError("something else") from None

    with pytest.raises(ValueError, match="something else") as caught:
        fall_back()
    assert disk.explain(caught.value, tmp_path) is None


def test_the_folder_with_the_least_space_is_named(tmp_path, mount_disk):
    small_disk = mount_disk("1m")
    told = disk.explain(FULL, tmp_path, small_disk)
    assert told.startswith(f"{small_disk}: No space left on device, 1.0 MB are free")


def test_it_becomes_a_users_mistake(tmp_path):
    with pytest.raises(DexmatchError, match="No space left"), disk.explained(tmp_path):
        raise FULL

"""A TFRecord file in which what was written stays readable, whatever becomes of the next record.

`tf.io.TFRecordWriter` leaves half a record behind where the disk is full or the process is killed,
and every reader stops there, before all that was written later.
"""

import os
import struct
from pathlib import Path

import google_crc32c

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_HEAD_BYTES = _LENGTH.size + _CHECKSUM.size
_PRIVATE = 0o600


class RecordFile:
    """Appends records to a file, which is made if it is not there, and is its owner's alone.

    Attributes:
      size: bytes of whole records.

    Example:
      file = RecordFile(Path("requests.tfrecord"))
      file.append(log.SerializeToString())
      file.close()
    """

    def __init__(self, path: Path):
        """Opens the file; raises OSError if that cannot be."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _PRIVATE)
        self.size = os.fstat(self._descriptor).st_size
        self._is_torn = False

    def append(self, record: bytes) -> None:
        """Writes a record whole, or raises OSError and leaves the records before it as they are."""
        if self._is_torn:
            os.ftruncate(self._descriptor, self.size)
            self._is_torn = False
        frame = _framed(record)
        left = memoryview(frame)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            self._is_torn = True
            self._cut()
            raise
        self.size += len(frame)

    def close(self) -> None:
        """Ends the file."""
        os.close(self._descriptor)

    def _cut(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            return  # It is tried again before the next record.
        self._is_torn = False


def cut_torn_record(path: Path) -> None:
    """Cuts half a record off the end of a TFRecord file, as a killed process leaves it behind.

    A file that holds anything else than records stays as it is.

    Raises:
      OSError: the file cannot be read or written.
    """
    with path.open("r+b", buffering=0) as file:
        size, whole = os.fstat(file.fileno()).st_size, 0
        while (following := _end_of_record(file.fileno(), whole)) is not None:
            if following > size:
                # Where no record is before it, a few bytes may be anybody's.
                if whole or size >= _HEAD_BYTES:
                    file.truncate(whole)
                return
            whole = following


def _end_of_record(descriptor: int, begin: int) -> int | None:
    """Where the record that begins there is to end; None if none begins there."""
    head = os.pread(descriptor, _HEAD_BYTES, begin)
    if not head:
        return None
    if len(head) < _HEAD_BYTES:
        return begin + _HEAD_BYTES
    if _CHECKSUM.pack(_checksum(head[: _LENGTH.size])) != head[_LENGTH.size :]:
        return None
    return begin + _HEAD_BYTES + int(_LENGTH.unpack_from(head)[0]) + _CHECKSUM.size


def _framed(record: bytes) -> bytes:
    length = _LENGTH.pack(len(record))
    return b"".join(
        (length, _CHECKSUM.pack(_checksum(length)), record, _CHECKSUM.pack(_checksum(record)))
    )


def _checksum(content: bytes) -> int:
    """TFRecord's masked CRC-32C."""
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

"""Serialized protobuf messages, looked through without making objects of what they hold.

A message of a megabyte may hold a hundred thousand fields, each of which protobuf turns into an
object of hundreds of bytes.
"""

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10


class Malformed(ValueError):
    """No serialized message."""


def members(message: memoryview, number: int) -> Iterator[memoryview]:
    """The values of all fields of that number that hold bytes, a text or a message.

    Raises:
      Malformed: while it goes on, where the message is none.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        kind = tag & 0x07
        if kind == _BYTES:
            length, at = _varint(message, at)
            if at + length > end:
                raise Malformed("a field is cut off")
            if tag >> 3 == number:
                yield message[at : at + length]
            at += length
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in _WIDTHS:
            at += _WIDTHS[kind]
        else:
            raise Malformed(f"wire type {kind}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where the next thing begins."""
    value = 0
    for place in range(_LONGEST_VARINT):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at
    raise Malformed("a number is cut off")

"""Bodies of answers over HTTP, which hold no more than they may, packed or unpacked."""

import zlib
from collections.abc import Mapping

ENCODINGS = "gzip"
"""What a request may say that it accepts."""
_GZIP = 16 + zlib.MAX_WBITS


class BodyRefused(Exception):
    """No body to read; the message says why."""


class Body:
    """Takes a body as it comes and unpacks it.

    Args:
      headers: of the answer, found by names of any case.
      most: bytes that the body may hold, as sent and unpacked.

    Raises:
      BodyRefused: it says that it holds more, or is packed in another way than was asked for.
    """

    def __init__(self, headers: Mapping[str, str], most: int):
        packing = headers.get("Content-Encoding", "identity").lower()
        if packing not in ("identity", ENCODINGS):
            raise BodyRefused(f"answered with Content-Encoding {packing!a}")
        if int(headers.get("Content-Length", 0)) > most:
            raise _too_large(most)
        self._most = most
        self._unpacker = zlib.decompressobj(_GZIP) if packing == ENCODINGS else None
        self._body = bytearray()
        self._received = 0

    def add(self, chunk: bytes) -> None:
        """Takes what came next, as it was sent.

        Raises:
          BodyRefused: it is more than the body may hold, or no gzip where it should be.
        """
        self._received += len(chunk)
        try:
            # One byte more than it may hold is enough to know.
            room = self._most + 1 - len(self._body)
            self._body += self._unpacker.decompress(chunk, room) if self._unpacker else chunk
        except zlib.error as error:
            raise _broken() from error
        if max(self._received, len(self._body)) > self._most:
            raise _too_large(self._most)

    def content(self) -> bytes:
        """All of it, once all has come.

        Raises:
          BodyRefused: it is gzip without its end.
        """
        if self._unpacker and self._received and not self._unpacker.eof:
            raise _broken()
        return bytes(self._body)


def _too_large(most: int) -> BodyRefused:
    return BodyRefused(f"answered with more than {most:,} bytes")


def _broken() -> BodyRefused:
    return BodyRefused("answered with broken gzip")

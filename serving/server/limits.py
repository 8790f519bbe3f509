"""Request bodies, read within limits: of one body, of all bodies together, and of time."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

IDLE_S = 30.0
"""Seconds that a client may send nothing in the middle of a body."""
_GZIP = 16 + zlib.MAX_WBITS


class BodyRefused(Exception):
    """A body that is not read to its end.

    Attributes:
      status: of the HTTP answer.
      message: one line.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message


class Bodies:
    """Reads the bodies of one server.

    A body over the limit is refused as soon as that is known, by its `Content-Length` or while it
    is read; what the client still sends is thrown away by the HTTP server, so that the answer
    reaches it.

    Args:
      max_bytes: of a body, both as it is sent and unpacked.
      max_total_bytes: of all bodies that are held at a time.
    """

    def __init__(self, max_bytes: int, max_total_bytes: int):
        self._max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._held = 0

    @contextlib.asynccontextmanager
    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> AsyncIterator[bytes]:
        """The body, unpacked; it counts as held until the context ends.

        Args:
          headers: names in lower case.

        Raises:
          BodyRefused: 413, too large; 503, too many bytes are held; 400, no sound gzip; 415, an
            encoding other than gzip; 408, the client stopped sending.
          ClientDisconnect: the client has gone.
        """
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in (b"gzip", b"x-gzip", b"identity", b""):
            raise BodyRefused(415, f"Unsupported Content-Encoding: {encoding.decode('latin-1')}")
        announced = headers.get(b"content-length", b"")
        if announced.isdigit():
            self._check(int(announced))
        held = 0
        try:
            pieces = []
            async for piece in _pieces(receive):
                held += len(piece)
                self._held += len(piece)
                self._check(held)
                pieces.append(piece)
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            del pieces
            if b"gzip" in encoding:
                body = await asyncio.to_thread(self._unpack, body)
                self._held += len(body) - held
                held = len(body)
                self._check(held)
            yield body
        finally:
            self._held -= held

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise BodyRefused(
                413, f"The request body is over the limit of {self._max_bytes:,} bytes"
            )
        if self._held > self._max_total_bytes:
            raise BodyRefused(
                503, f"Bodies of over {self._max_total_bytes:,} bytes are being answered; try again"
            )

    def _unpack(self, body: bytes) -> bytes:
        unpacker = zlib.decompressobj(_GZIP)
        try:
            unpacked = unpacker.decompress(body, self._max_bytes + 1)
        except zlib.error:
            raise BodyRefused(400, "The request body is not in gzip format") from None
        if len(unpacked) <= self._max_bytes and (not unpacker.eof or unpacker.unused_data):
            raise BodyRefused(400, "The request body is not one whole gzip file")
        return unpacked


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        try:
            message: Message = await asyncio.wait_for(receive(), IDLE_S)
        except TimeoutError:
            raise BodyRefused(408, f"No more of the body came within {IDLE_S:g} s") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")

"""Request bodies, read within limits: of bytes, of values, and of time."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from serving.server.budget import Share

IDLE_S = 30.0
"""Seconds that a client may send nothing in the middle of a body, or less than `LEAST_RATE`."""
LEAST_RATE = 1000
"""Bytes that each second after the first `IDLE_S` must have brought."""
TOO_SLOW = 408
"""HTTP status; the connection is of no use after it."""
MAX_VALUES = 1_000_000
"""Values in a body, or rather the signs that stand between some. Each becomes an object, and all of
them are made without a break in which another request could be answered."""
_VALUE_BYTES = 100
"""That an object takes, roughly."""
_SEPARATORS = (b",", b"[", b"{")
_LONGEST_NUMBER = 20
"""Digits of a length, after which it is too large in any case."""
_GZIP = 16 + zlib.MAX_WBITS
_UNPACKED_AT_ONCE = 1 << 20


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
    """

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes

    async def read(
        self, headers: Mapping[bytes, bytes], receive: Receive, share: Share
    ) -> bytearray:
        """The body, unpacked.

        Args:
          headers: names in lower case.
          share: holds what is read, as it comes.

        Raises:
          BodyRefused: 413, too large; 400, no sound gzip; 408, the client stopped sending, or sent
            too slowly.
          ServingError: RESOURCE_EXHAUSTED, too much is held already.
          ClientDisconnect: the client has gone.
        """
        # As the real server, which takes any other encoding for none.
        is_packed = b"gzip" in headers.get(b"content-encoding", b"").lower()
        announced = headers.get(b"content-length", b"")
        if announced.isdigit():
            self._check(int(announced[:_LONGEST_NUMBER]))
        body = bytearray()
        async for piece in _pieces(receive):
            self._check(len(body) + len(piece))
            share.add_bytes(len(piece))
            body += piece
        if is_packed:
            packed, body = body, await asyncio.to_thread(self._unpack, body, share)
            share.add_bytes(-len(packed))
        return body

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise BodyRefused(
                413, f"The request body is over the limit of {self._max_bytes:,} bytes"
            )

    def _unpack(self, body: bytearray, share: Share) -> bytearray:
        unpacker = zlib.decompressobj(_GZIP)
        unpacked = bytearray()
        try:
            piece = unpacker.decompress(body, _UNPACKED_AT_ONCE)
            while piece:
                self._check(len(unpacked) + len(piece))
                share.add_bytes(len(piece))
                unpacked += piece
                piece = unpacker.decompress(unpacker.unconsumed_tail, _UNPACKED_AT_ONCE)
        except zlib.error:
            raise BodyRefused(400, "The request body is not in gzip format") from None
        if not unpacker.eof or unpacker.unused_data:
            raise BodyRefused(400, "The request body is not one whole gzip file")
        return unpacked


def count_values(body: bytearray, share: Share) -> None:
    """Counts what a body of JSON holds, without reading it, and holds it.

    Raises:
      BodyRefused: 413, more than `MAX_VALUES`.
      ServingError: RESOURCE_EXHAUSTED, too much is held already.
    """
    values = sum(map(body.count, _SEPARATORS))
    if values > MAX_VALUES:
        raise BodyRefused(
            413, f"The request body holds over {MAX_VALUES:,} values; send them in several requests"
        )
    share.add_bytes(values * _VALUE_BYTES)


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    due = loop.time() + IDLE_S
    more = True
    while more:
        try:
            message: Message = await asyncio.wait_for(
                receive(), max(0, min(IDLE_S, due - loop.time()))
            )
        except TimeoutError:
            raise BodyRefused(
                TOO_SLOW,
                f"The body came too slowly: after {IDLE_S:g} s less than {LEAST_RATE:,} bytes/s",
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        body = message.get("body", b"")
        due += len(body) / LEAST_RATE
        yield body

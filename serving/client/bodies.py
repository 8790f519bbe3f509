"""Bodies of answers over HTTP, which hold no more than they may, packed or unpacked."""

import zlib

import httpx

from serving.client.retries import Deadline

ENCODINGS = "gzip"
"""What a request may say that it accepts."""
_GZIP = 16 + zlib.MAX_WBITS


class BodyRefused(Exception):
    """No body to read; the message says why."""


def read(response: httpx.Response, most: int, deadline: Deadline) -> bytes:
    """The body, unpacked.

    Args:
      response: of which only the head has been read.
      most: bytes that it may hold, as sent and unpacked.
      deadline: by when it must have come.

    Raises:
      BodyRefused: it holds more, or is packed in another way than was asked for.
      DeadlineExceeded: it comes too slowly.
    """
    packing = response.headers.get("Content-Encoding", "identity").lower()
    if packing not in ("identity", ENCODINGS):
        raise BodyRefused(f"answered with Content-Encoding {packing!a}")
    if int(response.headers.get("Content-Length", 0)) > most:
        raise _too_large(most)
    unpacker = zlib.decompressobj(_GZIP) if packing == ENCODINGS else None
    body = bytearray()
    received = 0
    for chunk in response.iter_raw():
        # The timeout holds for each read; an answer that trickles would outlive it.
        deadline.remaining()
        received += len(chunk)
        try:
            body += unpacker.decompress(chunk, most + 1 - len(body)) if unpacker else chunk
        except zlib.error as error:
            raise BodyRefused("answered with broken gzip") from error
        if max(received, len(body)) > most:
            raise _too_large(most)
    if unpacker and received and not unpacker.eof:
        raise BodyRefused("answered with broken gzip")
    return bytes(body)


def _too_large(most: int) -> BodyRefused:
    return BodyRefused(f"answered with more than {most:,} bytes")

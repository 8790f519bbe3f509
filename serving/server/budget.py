"""What all requests that are under way may hold together, over both APIs."""

import math
import threading
from types import TracebackType
from typing import Self

import grpc

from serving.server.errors import ServingError


class Budget:
    """Bytes and pixels that are held at a time. It may be used from any thread.

    Args:
      max_bytes: of requests: as they came, unpacked, and as arrays; None for no limit.
      max_pixels: of pictures that wait to be decoded or are; None for no limit.

    Example:
      with budget.share() as share:
          share.add_bytes(len(body))
    """

    def __init__(self, max_bytes: int | None = None, max_pixels: int | None = None):
        self._max_bytes = math.inf if max_bytes is None else max_bytes
        self._max_pixels = math.inf if max_pixels is None else max_pixels
        self._bytes = self._pixels = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """By all shares together."""
        return self._bytes

    @property
    def held_pixels(self) -> int:
        """By all shares together."""
        return self._pixels

    def share(self) -> "Share":
        """A part of the budget, of nothing yet."""
        return Share(self)

    def _add(self, share: "Share", count: int, pixels: int) -> None:
        with self._lock:
            if share.is_given_back:
                return
            if count > 0 and self._bytes + count > self._max_bytes:
                raise _exhausted(f"Requests of over {self._max_bytes:,} bytes")
            if pixels > 0 and self._pixels + pixels > self._max_pixels:
                raise _exhausted(f"Pictures of over {self._max_pixels:,} pixels")
            self._bytes += count
            self._pixels += pixels
            share.held_bytes += count
            share.held_pixels += pixels

    def _give_back(self, share: "Share") -> None:
        with self._lock:
            self._bytes -= share.held_bytes
            self._pixels -= share.held_pixels
            share.held_bytes = share.held_pixels = 0
            share.is_given_back = True


class Share:
    """What one request holds of a budget; see `Budget.share`.

    Attributes:
      held_bytes: in all.
      held_pixels: likewise.
      is_given_back: then nothing is added any more, by a thread that comes late.
    """

    def __init__(self, budget: Budget):
        self._budget = budget
        self.held_bytes = self.held_pixels = 0
        self.is_given_back = False

    def add_bytes(self, count: int) -> None:
        """Holds so many bytes more, or less.

        Raises:
          ServingError: RESOURCE_EXHAUSTED, all requests would hold too many; nothing is added.
        """
        self._budget._add(self, count, 0)

    def add_pixels(self, count: int) -> None:
        """Holds so many pixels more.

        Raises:
          ServingError: RESOURCE_EXHAUSTED, all requests would hold too many; nothing is added.
        """
        self._budget._add(self, 0, count)

    def give_back(self) -> None:
        """Holds nothing any more; more than once does no harm."""
        self._budget._give_back(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()


def _exhausted(what: str) -> ServingError:
    return ServingError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, f"{what} would be under way at a time; try again"
    )

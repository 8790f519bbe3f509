"""A deadline for a whole call, and trying again until then."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from serving.client.errors import DeadlineExceeded, ServingUnavailable

_Answer = TypeVar("_Answer")


class Deadline:
    """A point in time by which a call must have its answer.

    Args:
      seconds: from now.
      where: the server, for the message.
    """

    def __init__(self, seconds: float, where: str):
        self._seconds = seconds
        self._where = where
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, more than 0.

        Raises:
          DeadlineExceeded: there are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.exceeded()
        return left

    def exceeded(self) -> DeadlineExceeded:
        """The error that says so."""
        return DeadlineExceeded(f"{self._where}: no answer within {self._seconds:g} s")


@dataclass(frozen=True)
class Retries:
    """How often, and how soon, a call is tried again while the server is unavailable.

    The pauses grow exponentially and are drawn at random from zero to their length ("full jitter",
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that clients
    which were turned away together do not come back together.

    Attributes:
      attempts: the most times that a call is sent, 1 for never again.
      first_pause_s: length of the first pause.
      longest_pause_s: length that the pauses grow to, doubling.
    """

    attempts: int = 6
    first_pause_s: float = 0.1
    longest_pause_s: float = 2.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}; a call is sent at least once")

    def call(self, send: Callable[[], _Answer], deadline: Deadline) -> _Answer:
        """Sends again as long as the server is unavailable and there is time.

        Raises:
          ServingUnavailable: of the last attempt.
          DeadlineExceeded: an attempt took all the time that there was.
        """
        for attempt in range(1, self.attempts + 1):
            try:
                return send()
            except ServingUnavailable:
                if attempt == self.attempts:
                    raise
                pause = random.uniform(0, self._pause(attempt))
                if pause >= deadline.remaining():
                    # Waiting longer than there is time would only delay the bad news.
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _pause(self, attempt: int) -> float:
        # The exponent is bounded so that thousands of attempts do not overflow a float.
        return min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(attempt - 1, 60))

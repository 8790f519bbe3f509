"""Things that are kept as long as there is room."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class Recent(Generic[_Value]):
    """The values that were used last, by key; safe to use from several threads.

    Args:
      most: how much they may weigh together; the newest one stays in any case.
      weigh: tells what a value weighs; without it each weighs 1.
    """

    def __init__(self, most: int, weigh: Callable[[_Value], int] = lambda _: 1):
        self._most = most
        self._weigh = weigh
        self._weight = 0
        self._values: OrderedDict[Hashable, _Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> _Value | None:
        """The value of a key; None if it is not among them any more."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: Hashable, value: _Value) -> None:
        """Keeps a value, and lets go of those that were unused for longest."""
        with self._lock:
            if key in self._values:
                self._weight -= self._weigh(self._values.pop(key))
            self._values[key] = value
            self._weight += self._weigh(value)
            while self._weight > self._most and len(self._values) > 1:
                self._weight -= self._weigh(self._values.popitem(last=False)[1])

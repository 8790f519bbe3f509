"""Work that goes on beside a block of code, in a thread, and ends with it."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Has work done in a thread for the length of a block, and waits until it has come to its end.

    Args:
      work: is given what is set when the block ends, upon which it should return soon.
    """
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

"""What this machine offers, on every system that we run on."""

import os


def available_cores() -> int:
    """The cores that this process may use, which in a container are not all."""
    if hasattr(os, "sched_getaffinity"):  # Linux only.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""What this machine offers, on every system that we run on."""

import os
from pathlib import Path, PurePosixPath

_MEMBERSHIP = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """The cores that this process may use, which in a container are not all."""
    if hasattr(os, "sched_getaffinity"):  # Linux only.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_limit() -> int | None:
    """Bytes that this process and its container may use; None if no control group says so.

    Where there is a limit but none that could be reached, as version 1 of control groups has it, it
    is larger than any memory.
    """
    try:
        lines = _MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:  # No Linux.
        return None
    limits = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if not controllers:
            folder, name = _GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = _GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        # Inside a container, its own group may be what is seen as the uppermost.
        group = PurePosixPath(place.lstrip("/"))
        for each in (group, *group.parents):
            try:
                limits.append(int((folder / each / name).read_text(encoding="utf-8")))
            except (OSError, ValueError):  # No such group, or "max".
                continue
    return min(limits, default=None)

"""The system, the processor, memory and disks."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from core import disk
from core.machine import available_cores, memory_limit
from pipeline.doctor.check import Check, ok, problem, warning
from pipeline.doctor.subject import Subject

LITTLE_MEMORY = 2 * 10**9
"""Bytes. A run of the demo reaches 1.7 GB (docs/scale.md)."""
LITTLE_DISK = 2 * 10**9
"""Bytes. Enough for a few runs of the demo."""
NO_DISK = 10**8
"""Bytes. Not enough for one."""
_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")
_NEEDED = "avx"


def checks(subject: Subject) -> Iterator[Check]:
    """See the module."""
    yield _system()
    yield _processor()
    yield _memory()
    yield from _disks(subject)


def _system() -> Check:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        name = platform.platform()
    library, version = platform.libc_ver()
    found = f"{name}, {platform.system()} {platform.release()}, {library or 'libc'} {version}"
    facts = {"name": name, "kernel": platform.release(), "libc": f"{library} {version}".strip()}
    return ok("system", found.strip(), **facts)


def _processor() -> Check:
    told = _processor_told()
    has = told.get("flags", "").split()
    flags = [flag for flag in _FLAGS if flag in has]
    cores = available_cores()
    model = told.get("model name", platform.processor() or platform.machine())
    found = f"{cores} of {os.cpu_count()} cores of {model}, {platform.machine()}"
    found += f", {' '.join(flags)}" if flags else ""
    facts = {"cores": cores, "machine": platform.machine(), "flags": flags}
    if platform.machine() == "x86_64" and has and _NEEDED not in has:
        return problem(
            "processor",
            f"{found}, without AVX",
            "TensorFlow's wheels need AVX; use another machine, or let the virtual one pass it on",
            **facts,
        )
    return ok("processor", found, **facts)


def _processor_told() -> dict[str, str]:
    """What Linux says of the first processor."""
    try:
        first = _CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory() -> Check:
    memory, limit = psutil.virtual_memory(), memory_limit()
    # A limit that is above what there is, is none.
    limit = limit if limit is not None and limit < memory.total else None
    usable = memory.available if limit is None else min(memory.available, limit)
    found = f"{_gigabytes(memory.available)} free of {_gigabytes(memory.total)}"
    found += f", limited to {_gigabytes(limit)} by the container" if limit is not None else ""
    facts = {"total": memory.total, "available": memory.available, "limit": limit}
    if usable < LITTLE_MEMORY:
        advice = f"a run needs some {_gigabytes(LITTLE_MEMORY)}; end other programs, or allow more"
        return warning("memory", found, advice, **facts)
    return ok("memory", found, **facts)


def _disks(subject: Subject) -> Iterator[Check]:
    """One check for each file system that a run writes to."""
    uses = {
        "workspace": subject.workspace.root,
        "pushed models": subject.workspace.serving,
        "temporary files": Path(tempfile.gettempdir()),
    }
    by_device: dict[int, list[tuple[str, Path]]] = {}
    for use, folder in uses.items():
        there = disk.nearest_existing(folder)
        by_device.setdefault(os.stat(there).st_dev, []).append((use, there))
    for places in by_device.values():
        yield _disk(places)


def _disk(places: list[tuple[str, Path]]) -> Check:
    use = ", ".join(use for use, _ in places)
    usage = shutil.disk_usage(places[0][1])
    found = f"{_gigabytes(usage.free)} free of {_gigabytes(usage.total)} for {use}"
    facts = {"free": usage.free, "total": usage.total, "uses": [use for use, _ in places]}
    for _, folder in places:
        if not folder.is_dir():
            advice = "move it away, or choose another folder (run.workspace, pusher.directory)"
            return problem("disk", f"{folder}: a file, not a folder", advice, **facts)
        if not os.access(folder, os.W_OK | os.X_OK):
            advice = "see to it that you may write there, or choose another folder"
            return problem("disk", f"{folder}: may not be written to", advice, **facts)
    if usage.free < NO_DISK:
        return problem("disk", found, "make room, or choose another folder", **facts)
    if usage.free < LITTLE_DISK:
        return warning("disk", found, "make room before a run on much data", **facts)
    return ok("disk", found, **facts)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"

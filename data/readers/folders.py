"""Finds files below a folder. Links to folders are followed: they are the user's own."""

import os
from pathlib import Path


def files_below(folder: Path, suffix: str | tuple[str, ...]) -> list[Path]:
    """Every file whose name ends in `suffix`, or one of several, whatever its case, sorted by path.

    Hidden files and folders are passed over. A folder is entered once, however many links lead to
    it, so one that leads back up does no harm.
    """
    found = []
    entered = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(place, name)
            for name in names
            if name.lower().endswith(suffix) and not name.startswith(".")
        ]
    return sorted(found)

"""The versions of a pushed model on disk: which one is served, going back, clearing up.

A model server looks at folders whose names are numbers and, unless it is told otherwise, serves the
highest. So a version that is rolled back is renamed: in one step, with every server, and nothing is
lost. What was rolled back is written to a file beside the versions.
"""

import json
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import DexmatchError
from core.files import folder_size

HISTORY = "rollbacks.jsonl"
"""Beside the versions: a line for each rollback."""

STAGING = ".staging-"
"""Before the name of a folder into which a version is copied, to be renamed once it is whole."""

_SET_ASIDE = "rolled_back-"
_REMOVED = ".removed-"
_DECIMAL = re.compile(r"[0-9]{1,100}")
_LARGEST = 2**63 - 1
_FINGERPRINT = "fingerprint.pb"


@dataclass(frozen=True)
class Version:
    """One version of a pushed model.

    Attributes:
      number: its name, to model servers.
      path: its folder.
      is_set_aside: whether it was rolled back.
    """

    number: int
    path: Path
    is_set_aside: bool

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return folder_size(self.path)


def number_of(name: str) -> int | None:
    """The version that a folder's name stands for: ASCII digits, a number of 63 bits; else None."""
    if not _DECIMAL.fullmatch(name) or int(name) > _LARGEST:
        return None
    return int(name)


def list_versions(base: Path) -> list[Version]:
    """All versions below a model's folder, the newest first."""
    found = []
    for path in base.iterdir() if base.is_dir() else ():
        name = path.name.removeprefix(_SET_ASIDE)
        number = number_of(name)
        if number is not None and path.is_dir():
            found.append(Version(number, path, is_set_aside=name != path.name))
    return sorted(found, key=lambda version: version.number, reverse=True)


def served(versions: Collection[Version]) -> Version | None:
    """The one that a model server serves by default; None if there is none."""
    offered = [version for version in versions if not version.is_set_aside]
    return max(offered, key=lambda version: version.number, default=None)


def roll_back(base: Path, to: int | None = None, reason: str = "") -> Version:
    """Makes an earlier version, or one that was rolled back, the served one.

    Args:
      base: the model's folder.
      to: the version; None for the newest below the served one. Those above it are set aside.
      reason: for the record.

    Returns:
      The version that is served now.

    Raises:
      DexmatchError: there is no such version, or nothing to go back to.
    """
    versions = list_versions(base)
    before = served(versions)
    if to is None:
        older = [each for each in versions if before and each.number < before.number]
        target = served(older)
        if target is None:
            raise DexmatchError(f"{base}: no earlier version to go back to")
    else:
        target = next((each for each in versions if each.number == to), None)
        if target is None:
            known = ", ".join(str(each.number) for each in versions) or "none"
            raise DexmatchError(f"{base}: no version {to}; there are: {known}")
    # First what is to be served, and the served one last: a server that looks in between finds no
    # other version as the highest.
    target = _renamed(target, is_set_aside=False)
    for version in reversed(versions):
        if version.number > target.number and not version.is_set_aside:
            _renamed(version, is_set_aside=True)
    if before is None or before.number != target.number:
        _record(base, before, target, reason)
    return target


def _renamed(version: Version, *, is_set_aside: bool) -> Version:
    prefix = _SET_ASIDE if is_set_aside else ""
    path = version.path.with_name(f"{prefix}{version.number}")
    if path != version.path:
        version.path.rename(path)
    return Version(version.number, path, is_set_aside)


def _record(base: Path, before: Version | None, after: Version, reason: str) -> None:
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "from": before.number if before else None,
        "to": after.number,
        "reason": reason,
    }
    with (base / HISTORY).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def rollbacks(base: Path) -> list[dict[str, Any]]:
    """What was rolled back, the oldest first: time, from, to, reason.

    Raises:
      DexmatchError: a line of the file is damaged.
    """
    path = base / HISTORY
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found.append(json.loads(line))
        except ValueError as error:
            raise DexmatchError(f"{path}, line {number}: no JSON; remove the line") from error
    return found


def prune(base: Path, keep: int, in_use: Collection[int] = ()) -> list[int]:
    """Removes old versions, and those that were rolled back and are older than all that stay.

    Args:
      base: the model's folder.
      keep: how many stay, the newest ones; 0 for all.
      in_use: versions that stay as well, as those that a server's configuration names.

    Returns:
      The versions that were removed.
    """
    versions = list_versions(base)
    offered = [version for version in versions if not version.is_set_aside]
    if not keep or len(offered) <= keep:
        return []
    oldest_kept = offered[keep - 1].number
    doomed = [v for v in versions if v.number < oldest_kept and v.number not in in_use]
    for version in doomed:
        # Away from the model server's eyes first: it must not find half a version.
        hidden = version.path.with_name(f"{_REMOVED}{version.number}")
        version.path.rename(hidden)
        _remove(hidden)
    return [version.number for version in doomed]


def clear_leftovers(base: Path) -> None:
    """Removes what a killed push or a killed `prune` left behind.

    A link is unlinked; what it points at stays.
    """
    for path in list(base.iterdir()) if base.is_dir() else ():
        if path.name.startswith((STAGING, _REMOVED)):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def rolled_back(found: Collection[Version], model: Path) -> Version | None:
    """The version as which this very SavedModel was rolled back; None if it was not."""
    return next(
        (each for each in found if each.is_set_aside and is_same_model(each.path, model)), None
    )


def is_same_model(one: Path, other: Path) -> bool:
    """Whether two folders hold the very same SavedModel, by the fingerprint TensorFlow gave it."""
    fingerprint = _fingerprint(one)
    return fingerprint is not None and fingerprint == _fingerprint(other)


def _fingerprint(saved_model: Path) -> bytes | None:
    path = saved_model / _FINGERPRINT
    return path.read_bytes() if path.is_file() else None

"""Picture files that a user names: finding, reading and naming them."""

import os
from collections.abc import Iterable
from pathlib import Path

from core.errors import DexmatchError
from data import picture_files, pictures
from data.records import Reason, Rejected

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
"""By which pictures are found in folders. What is in a file decides how it is read."""


class Unreadable(Exception):
    """A picture that no model can judge; the message says why."""


def find(names: Iterable[str]) -> list[Path]:
    """The pictures that files and folders stand for, each once, in the order of the names.

    Args:
      names: of picture files, taken whatever their suffix, or of folders, see `in_folder`.

    Raises:
      DexmatchError: there is no such file, or no picture in a folder, or a folder cannot be read.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if os.path.isdir(path):
            in_it = in_folder(path)
            if not in_it:
                raise DexmatchError(f"{shown(path)}: no pictures in this folder")
            found.update(dict.fromkeys(in_it))
        elif _is_there(path):
            found[path] = None
        else:
            raise DexmatchError(f"{shown(path)}: no such file or folder")
    return list(found)


def in_folder(folder: Path) -> list[Path]:
    """The files with a picture's suffix in a folder and below, sorted, hidden ones left out.

    A folder below that cannot be listed stands for its pictures: to read it tells why.

    Raises:
      DexmatchError: the folder itself cannot be listed.
    """
    found: list[Path] = []

    def keep(error: OSError) -> None:
        if error.filename == str(folder):
            raise DexmatchError(f"{shown(folder)}: cannot be read ({error.strerror})") from error
        found.append(Path(error.filename))

    for here, folders, files in os.walk(folder, onerror=keep):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(here, name)
            for name in files
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return sorted(found)


def _is_there(path: Path) -> bool:
    """Whether there is something of this name, be it out of reach: to read it tells why."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def read(path: Path) -> bytes:
    """A picture as the importer would have stored it, so that the model sees what it was taught on.

    Raises:
      Unreadable: it is missing, cannot be read, or is no picture.
    """
    # Unlike Path.resolve, it leaves links that lead in a circle to whoever opens them.
    real = Path(os.path.realpath(path))
    try:
        content = picture_files.read(real.parent, real.name)
        return pictures.normalise(content).content
    except Rejected as rejected:
        if rejected.reason is Reason.TOO_SMALL:
            # Nothing to learn from, but nothing that the model could not look at.
            return content
        raise Unreadable(rejected.detail) from rejected


def shown(path: Path | str) -> str:
    """A path for people: one line of valid text, whatever bytes the file's name is made of."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )

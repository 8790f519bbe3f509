"""Plain names, inside a workspace, for what a user keeps elsewhere: symbolic links.

TFX, Beam and TensorFlow take some characters of a path for a pattern (`ds[12]` would be `ds1`), and
not all of them take letters beyond ASCII. So they are given `links/data-1f2e...` instead. The links
belong to the workspace: they go when it goes, and another workspace has its own.
"""

import os
import secrets
from pathlib import Path

from core.errors import DexmatchError

FOLDER = "links"


def make(root: Path, name: str, target: Path) -> Path:
    """Makes a link, or points the one that is there at another place.

    Call it with the workspace's lock held.

    Args:
      root: the workspace's folder.
      name: ASCII letters, digits, `-` and `.`.
      target: absolute path of what is linked.

    Returns:
      The link.

    Raises:
      DexmatchError: something else has that name, as in a copy of a workspace that followed its
        links.
    """
    link = root / FOLDER / name
    link.parent.mkdir(exist_ok=True)
    if link.exists() and not link.is_symlink():
        raise DexmatchError(f"{link}: must be a link, and is a copy; remove it")
    made = link.with_name(f".{name}.{secrets.token_hex(4)}")
    made.symlink_to(target)
    made.replace(link)
    return link


def followed(path: Path) -> Path:
    """Where a link leads to, be that there or not; the path itself if it is no link."""
    try:
        return Path(os.readlink(path))
    except OSError:
        return path

"""Reads picture files named by a source, from its picture folder.

A path that stands in the data is a stranger's word: by itself it may not lead out of the folder.
What the folder holds is the user's own doing: a link in it is followed wherever it leads, as in a
download from Hugging Face, where every file is a link to a folder of blobs.
"""

import errno
import functools
import os
import posixpath
import re
import stat
import unicodedata
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

from data.pictures import MAX_BYTES
from data.records import Reason, Rejected

OUTSIDE_OPTION = "--allow-outside-paths"

_CAPTION_NUMBER = re.compile(r"#[0-9]+$")
"""As in Flickr30k: `1000092795.jpg#0` is the first caption of `1000092795.jpg`."""


def tidy(name: str, folder: str = "") -> str:
    """One spelling per path, in a folder: `./a//b.png` and `a/b.png` are the same picture."""
    return posixpath.normpath(posixpath.join(folder, name))


def read(folder: Path, name: str, *, allow_outside: bool = False) -> bytes:
    """Reads a picture file.

    Where there is none of this name, other spellings are tried: the same letters composed in
    another way (macOS writes `é` as `e` and an accent), `\\` for `/`, `%20` for a space, and
    without the number of a caption, `#0`.

    Args:
      folder: the picture folder.
      name: path relative to it, as the source has it.
      allow_outside: whether the name may be an absolute path, or lead out of the folder by `..`.

    Returns:
      The file's content.

    Raises:
      Rejected: it is missing, no regular file, not readable, too large, or outside the folder.
    """
    if not allow_outside and (reason := _outside(name)):
        raise Rejected(Reason.OUTSIDE_FOLDER, f"{reason}, or allow it with {OUTSIDE_OPTION}")
    tried = []
    for spelling in _spellings(name):
        if not allow_outside and _outside(spelling):
            continue
        tried.append(spelling)
        for path in (os.path.join(folder, tidy(spelling)), _in_another_form(folder, spelling)):
            try:
                if path is not None:
                    return _content(path)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    raise _rejection(error) from error
    also = f"; tried {', '.join(tried[1:])} as well" if tried[1:] else ""
    raise Rejected(Reason.FILE_NOT_FOUND, f"no such file{also}")


def _outside(name: str) -> str | None:
    """What is wrong with a path that leads out of the folder by itself."""
    if os.path.isabs(name):
        return "absolute path; write it relative to the picture folder"
    if tidy(name).split("/")[0] == "..":
        return "leads out of the picture folder; name the folder above with --image-folder"
    return None


def _spellings(name: str) -> Iterator[str]:
    """The name as it is, and what else may have been meant."""
    seen = {name}
    yield name
    one_by_one = (
        name.replace("\\", "/"),
        urllib.parse.unquote(name),
        _CAPTION_NUMBER.sub("", name),
        urllib.parse.unquote(_CAPTION_NUMBER.sub("", name.replace("\\", "/"))),
    )
    for spelling in one_by_one:
        if spelling not in seen and "\0" not in spelling:
            seen.add(spelling)
            yield spelling


def _in_another_form(folder: Path, name: str) -> str | None:
    """The path whose letters are those of the name, however they are composed; None: none is."""
    if name.isascii():
        return None
    path = os.path.abspath(folder)
    for part in tidy(name).split("/"):
        direct = os.path.join(path, part)
        if not part.isascii() and not os.path.lexists(direct):
            found = _composed_names(path).get(unicodedata.normalize("NFC", part))
            if found is None:
                return None
            direct = os.path.join(path, found)
        path = direct
    return path


@functools.lru_cache(maxsize=16)
def _composed_names(folder: str) -> Mapping[str, str]:
    """The names in a folder that are not ASCII, by their composed form (NFC)."""
    try:
        names = sorted(os.listdir(folder), reverse=True)
    except OSError:
        return {}
    return {unicodedata.normalize("NFC", name): name for name in names if not name.isascii()}


def _content(path: str) -> bytes:
    with open(path, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Rejected(Reason.NOT_A_FILE, "not a regular file")
        if status.st_size > MAX_BYTES:
            detail = f"{status.st_size:,} bytes, more than {MAX_BYTES:,}"
            raise Rejected(Reason.TOO_LARGE, detail)
        return file.read()


def _open_without_waiting(path: str, flags: int) -> int:
    """Opens a named pipe without waiting for its writer, so that it can be turned away."""
    return os.open(path, flags | os.O_NONBLOCK)


def _rejection(error: OSError) -> Rejected:
    if error.errno == errno.EISDIR:
        return Rejected(Reason.NOT_A_FILE, "a folder")
    return Rejected(Reason.NOT_READABLE, error.strerror or type(error).__name__)

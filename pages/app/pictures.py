"""The pictures that are asked about: held in memory, named by what they hold."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from data import pictures as importing
from data.records import Rejected
from pages.app.messages import Refused
from pages.app.recent import Recent
from serving.search import pictures as files

_HELD_BYTES = 96 * 2**20


@dataclass(frozen=True)
class Picture:
    """A picture as the importer would store it, so that the model sees what it was taught on.

    Attributes:
      id: 32 hexadecimal digits, of its content.
      content: PNG or JPEG.
    """

    id: str
    content: bytes

    @classmethod
    def of(cls, content: bytes) -> "Picture":
        """A picture named by its content."""
        return cls(hashlib.sha256(content).hexdigest()[:32], content)

    @property
    def suffix(self) -> str:
        """By which files of its format end."""
        return ".png" if self.content.startswith(b"\x89PNG") else ".jpg"


class Pictures:
    """Those that were asked about last."""

    def __init__(self) -> None:
        self._held: Recent[Picture] = Recent(_HELD_BYTES, lambda picture: len(picture.content))

    def take(self, content: bytes) -> Picture:
        """Holds a picture that a user brought, whatever its format.

        Raises:
          Refused: it is no picture, broken, too small or too large.
        """
        try:
            return self._hold(importing.normalise(content).content)
        except Rejected as rejected:
            raise Refused(f"the picture cannot be read: {rejected.detail}") from rejected

    def open(self, path: Path) -> Picture:
        """Holds a picture of the folder; see `read`."""
        return self._hold(read(path))

    def _hold(self, content: bytes) -> Picture:
        picture = Picture.of(content)
        self._held.put(picture.id, picture)
        return picture

    def get(self, picture_id: str) -> Picture:
        """A picture that is held.

        Raises:
          Refused: it is not held any more.
        """
        picture = self._held.get(picture_id)
        if picture is None:
            raise Refused("the app holds this picture no more; choose it again", 404)
        return picture


def read(path: Path) -> bytes:
    """A picture of the folder, as the model sees it.

    Raises:
      Refused: it was removed, or changed into something else.
    """
    try:
        return files.read(path)
    except files.Unreadable as unreadable:
        raise Refused(f"{files.shown(path.name)} cannot be read: {unreadable}") from unreadable

"""What was fetched, on disk: for a run after a kill, and for another language."""

import gzip
import zlib
from pathlib import Path
from urllib.parse import quote

import httpx

from core.errors import DexmatchError
from core.files import open_atomically

_IMAGES = "images"
_ANSWERS = "answers"


class Cache:
    """Files that are there whole or not at all: answers, packed, and pictures.

    Nothing in it is ever taken for too old: a run that finds all answers here asks nobody.

    Args:
      folder: for all APIs.
      api: whose answers these are; those of another one do not mix with them.

    Attributes:
      folder: what the paths of pictures are relative to.
    """

    def __init__(self, folder: Path, api: httpx.URL):
        host = f"{api.host}:{api.port}" if api.port else api.host
        self.folder = folder / quote(f"{host}{api.path.rstrip('/')}", safe="")

    def answer(self, resource: str, number: int | None = None) -> Path:
        """Where an answer is kept, packed.

        Args:
          resource: what the API calls it, such as "type".
          number: of one of them; None for the list of all.
        """
        name = "list" if number is None else str(number)
        return self.folder / _ANSWERS / resource / f"{name}.json.gz"

    def picture(self, species: int) -> Path:
        """Where the picture of a species is kept, whatever its format is."""
        return self.folder / _IMAGES / f"{species:04}.png"


def read(path: Path) -> bytes | None:
    """The content of a file, unpacked.

    Returns:
      None if there is no such file, or it is damaged.

    Raises:
      DexmatchError: it cannot be read.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if _is_packed(path) else content
    except (FileNotFoundError, gzip.BadGzipFile, EOFError, zlib.error):
        return None
    except OSError as error:
        raise DexmatchError(f"{path}: cannot be read ({error.strerror}); remove it") from error


def write(path: Path, content: bytes) -> None:
    """Writes a file and the folders that it needs.

    Args:
      path: as `Cache` gives it; what is there is replaced.
      content: not packed.

    Raises:
      OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_atomically(path) as file:
        file.write(gzip.compress(content, mtime=0) if _is_packed(path) else content)


def _is_packed(path: Path) -> bool:
    return path.suffix == ".gz"

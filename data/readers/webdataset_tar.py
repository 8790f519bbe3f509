"""WebDataset: tar shards in which files of one sample share a name, as img2dataset writes them.

`000012.jpg`, `000012.txt` and `000012.json` are one sample: the picture, its caption, and further
columns. A `caption` in the JSON file, which may be a list, goes before the text file. A row of an
import is one caption of a sample; a sample without any is one row.
"""

import json
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from webdataset.shardlists import expand_urls
from webdataset.tariterators import base_plus_ext, group_by_keys

from core.errors import DexmatchError
from data.readers.base import Reader
from data.records import EmbeddedImage, Origin, Reason, Record, Reject

_PICTURES = ("jpg", "jpeg", "png", "webp")
_TEXTS = ("txt", "json")
_COPIED_CHUNK = 2**20


class WebDatasetReader(Reader):
    """Tar shards: one file, a folder of them, or a brace pattern."""

    format = "webdataset"

    def __init__(self, source: str):
        path = Path(source)
        if path.is_dir():
            self._files = sorted(path.glob("*.tar"))
        else:
            self._files = [Path(name) for name in expand_urls(source)]
        if not self._files:
            raise DexmatchError(f"{source}: no *.tar file in this folder")
        self.folder = self._files[0].parent

    def records(self, *, with_images: bool) -> Iterator[Record | Reject]:
        """See `Reader.records`."""
        for path in self._files:
            try:
                with open(path, "rb") as file:
                    members = _members(file, with_images)
                    for row, sample in enumerate(group_by_keys(members), start=1):
                        yield _record(Origin(path.name, row), sample)
            except (tarfile.TarError, zlib.error, EOFError, ValueError) as error:
                raise DexmatchError(f"{path}: broken tar file: {error}") from error
            except OSError as error:
                raise DexmatchError(
                    f"{path}: cannot be read ({error.strerror or error})"
                ) from error


def _members(file: IO[bytes], with_images: bool) -> Iterator[dict[str, Any]]:
    """The files of a tar as `group_by_keys` wants them."""
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # Else it grows by each of them.
            suffix = _suffix(member.name)
            if not member.isfile() or suffix not in _PICTURES + _TEXTS:
                continue
            is_wanted = with_images or suffix in _TEXTS
            content = _read(tar, member) if is_wanted else b""
            yield {"fname": member.name, "data": content, "__url__": ""}
        _check_end(tar)


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None, "the caller passes regular files only"
    return file.read()


def _check_end(tar: tarfile.TarFile) -> None:
    """`tarfile` takes a broken header for the end of the archive; only zeros may follow it."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    while chunk := tar.fileobj.read(_COPIED_CHUNK):
        if chunk.strip(b"\0"):
            raise tarfile.ReadError(f"bad header at byte {tar.offset}")


def _suffix(name: str) -> str:
    _, suffix = base_plus_ext(name)
    return (suffix or "").lower()


def _record(origin: Origin, sample: dict[str, Any]) -> Record | Reject:
    name = sample["__key__"]
    try:
        described = json.loads(sample["json"]) if "json" in sample else {}
    except UnicodeDecodeError as error:
        return Reject(origin, name, Reason.NOT_UTF8, f"{name}.json: byte {error.start + 1}")
    except (ValueError, RecursionError) as error:
        return Reject(origin, name, Reason.INVALID_JSON, f"{name}.json: {error}")
    fields = described if isinstance(described, dict) else {"caption": described}
    if "txt" in sample and fields.get("caption") is None:
        # Bytes that are not UTF-8 are found with those of all other columns.
        fields["caption"] = sample["txt"].decode("utf-8", errors="surrogateescape")
    content = next((sample[suffix] for suffix in _PICTURES if suffix in sample), None)
    fields["image"] = None if content is None else EmbeddedImage(name, content)
    return Record(origin, fields)

"""WebDataset: tar shards in which files of one sample share a name, as img2dataset writes them.

`000012.jpg`, `000012.txt` and `000012.json` are one sample: the picture, its caption, and further
columns. A `caption` in the JSON file, which may be a list, goes before the text file. A row of an
import is one caption of a sample; a sample without any is one row.

WebDataset itself ends a name at its first dot. Many tars are packed from files that have dots in
their names, so here a sample is named by the longest name that a picture and a text share:
`photo.0001.jpg` and `photo.0001.txt` are one sample, and so are `12.left.jpg` and `12.caption.txt`.
Links in a tar are never followed.
"""

import collections
import dataclasses
import json
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from webdataset.shardlists import expand_urls

from core.errors import DexmatchError
from data.readers.base import DivisibleReader
from data.records import EmbeddedImage, Origin, Reason, Record, Reject, WrittenNumber

_PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
_TEXTS = ("txt", "json")
_COPIED_CHUNK = 2**20
_OPEN_NAMES = 8
"""So many names that begin alike may wait for their other files: files of a sample stand together,
and a tar of pictures that all begin alike must not end up in memory."""
_SHOWN_KINDS = 5
_DIGIT = re.compile("[0-9]")


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    """A file of a tar.

    Attributes:
      stem: its path without what follows the last dot.
      suffix: what follows the last dot, in lower case.
      content: what is in it; empty where it was not asked for.
    """

    stem: str
    suffix: str
    content: bytes

    @property
    def path(self) -> str:
        """Its path in the tar."""
        return f"{self.stem}.{self.suffix}"

    @property
    def beginning(self) -> str:
        """The name that WebDataset itself would give the sample: up to the first dot."""
        folder, _, base = self.stem.rpartition("/")
        return f"{folder}/{base.partition('.')[0]}"


@dataclasses.dataclass(frozen=True, slots=True)
class _Sample:
    """Files that belong together.

    Attributes:
      name: what their names have in common.
      members: at least one.
    """

    name: str
    members: Sequence[_Member]

    def first(self, suffixes: Sequence[str]) -> _Member | None:
        """The file with one of the suffixes: one of the sample's very name before the others."""
        found = [member for member in self.members if member.suffix in suffixes]
        found.sort(key=lambda each: (each.stem != self.name, suffixes.index(each.suffix)))
        return next(iter(found), None)


class WebDatasetReader(DivisibleReader):
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

    def parts(self) -> Sequence[Path]:
        """See `DivisibleReader.parts`: the tar files."""
        return self._files

    def records(self, *, with_images: bool, part: Path | None = None) -> Iterator[Record | Reject]:
        """See `DivisibleReader.records`."""
        left_out: collections.Counter[str] = collections.Counter()
        for path in [part] if part else self._files:
            try:
                with open(path, "rb") as file:
                    members = _members(file, with_images, left_out)
                    for row, sample in enumerate(_samples(members), start=1):
                        yield _record(Origin(path.name, row), sample, left_out)
            except (tarfile.TarError, zlib.error, EOFError, ValueError) as error:
                raise DexmatchError(f"{path}: broken tar file: {error}") from error
            except OSError as error:
                raise DexmatchError(
                    f"{path}: cannot be read ({error.strerror or error})"
                ) from error
        self.set_left_out(left_out)

    def set_left_out(self, kinds: Mapping[str, int]) -> None:
        """See `DivisibleReader.set_left_out`."""
        super().set_left_out(kinds)
        self.remarks = [_left_out(collections.Counter(kinds))] if kinds else []


def _members(
    file: IO[bytes], with_images: bool, left_out: collections.Counter[str]
) -> Iterator[_Member]:
    """The pictures and texts of a tar; the kinds of all other files are counted."""
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # Else it grows by each of them.
            if member.isdir():
                continue
            stem, suffix = posixpath.splitext(member.name)
            suffix = suffix.removeprefix(".").lower()
            is_hidden = posixpath.basename(stem).startswith(".")
            if not member.isfile():
                left_out["links and devices"] += 1
            elif is_hidden or suffix not in _PICTURES + _TEXTS:
                left_out["hidden files" if is_hidden else f"*.{suffix}" if suffix else "*"] += 1
            else:
                is_wanted = with_images or suffix in _TEXTS
                yield _Member(stem, suffix, _read(tar, member) if is_wanted else b"")
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


def _left_out(kinds: collections.Counter[str]) -> str:
    shown = [f"{kind} ({count:,})" for kind, count in kinds.most_common(_SHOWN_KINDS)]
    rest = f" and {len(kinds) - len(shown)} more kinds" if len(kinds) > len(shown) else ""
    return f"{kinds.total():,} files of the tar are no part of a pair: {', '.join(shown)}{rest}"


def _samples(members: Iterator[_Member]) -> Iterator[_Sample]:
    """Groups the files that stand together and begin alike."""
    waiting: dict[str, list[_Member]] = {}
    beginning = None
    for member in members:
        if member.beginning != beginning:
            yield from _resolved(waiting)
            waiting = {}
            beginning = member.beginning
        waiting.setdefault(member.stem, []).append(member)
        if len(waiting) > _OPEN_NAMES:
            name = next(iter(waiting))
            yield _Sample(name, waiting.pop(name))
    yield from _resolved(waiting)


def _resolved(waiting: dict[str, list[_Member]]) -> Iterator[_Sample]:
    """Samples by the longest names that make pairs.

    What makes none belongs to the sample whose name its own begins with; where there is no such
    sample, it is half of one, which will be rejected.
    """
    pairs = {name: members for name, members in waiting.items() if _is_pair(members)}
    halves = {name: members for name, members in waiting.items() if name not in pairs}
    for dots in reversed(range(max(map(_dots, halves), default=0))):
        alike: dict[str, list[str]] = collections.defaultdict(list)
        for name in halves:
            alike[_shortened(name, dots)].append(name)
        for short, names in alike.items():
            together = [member for name in names for member in halves[name]]
            # 12.left.jpg and 12.caption.txt are one sample; p.1.jpg and p.2.txt are halves of two.
            parts = [name.removeprefix(short) for name in names]
            is_one = short in names or not _DIGIT.search("".join(parts))
            if is_one and short not in pairs and _is_pair(together):
                pairs[short] = together
                for name in names:
                    del halves[name]
    for name, members in halves.items():
        shorter = (_shortened(name, dots) for dots in reversed(range(_dots(name))))
        owner = next((short for short in shorter if short in pairs), None)
        if owner is None:
            yield _Sample(name, members)
        else:
            pairs[owner] = [*pairs[owner], *members]
    for name, members in pairs.items():
        yield _Sample(name, members)


def _dots(name: str) -> int:
    return posixpath.basename(name).count(".")


def _shortened(name: str, dots: int) -> str:
    """A name up to the dot after the first `dots` ones."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + ".".join(base.split(".")[: dots + 1])


def _is_pair(members: Sequence[_Member]) -> bool:
    """Whether there is a picture and a text."""
    suffixes = {member.suffix for member in members}
    return not (suffixes.isdisjoint(_PICTURES) or suffixes.isdisjoint(_TEXTS))


def _record(origin: Origin, sample: _Sample, left_out: collections.Counter[str]) -> Record | Reject:
    name = sample.name
    seen: set[str] = set()
    for member in sample.members:
        if member.path in seen:
            detail = f"{member.path} stands in the tar twice; which is right is not known"
            return Reject(origin, name, Reason.REPEATED_MEMBER, detail)
        seen.add(member.path)
    picture = sample.first(_PICTURES)
    text, described = sample.first(("txt",)), sample.first(("json",))
    for member in sample.members:
        if member not in (picture, text, described):
            left_out[f"*{member.path.removeprefix(name)}"] += 1
    fields: dict[str, object] = {}
    if described is not None:
        try:
            content = json.loads(described.content, parse_float=WrittenNumber)
        except UnicodeDecodeError as error:
            detail = f"{described.path}: byte {error.start + 1}"
            return Reject(origin, name, Reason.NOT_UTF8, detail)
        except (ValueError, RecursionError) as error:
            return Reject(origin, name, Reason.INVALID_JSON, f"{described.path}: {error}")
        fields = content if isinstance(content, dict) else {"caption": content}
    if text is not None and fields.get("caption") is None:
        # Bytes that are not UTF-8 are found with those of all other columns.
        fields["caption"] = text.content.decode("utf-8", errors="surrogateescape")
    fields["image"] = None if picture is None else EmbeddedImage(name, picture.content)
    return Record(origin, fields)

"""What a worker of a Beam job does with a part of a source, by the same code as the local pool.

It reads the source itself. What depends on the parts before its own comes with the last task: which
ids are taken, and where shards begin.
"""

import collections
import copy
import dataclasses
import functools
import itertools
import os
import secrets
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

from core import disk
from core.errors import DexmatchError
from data import readers
from data.ids import Ids
from data.plan import Plan
from data.readers.base import DivisibleReader, Part
from data.records import EmbeddedImage, Reject, Row
from data.survey import Survey, survey_of
from data.tasks import Result, Task


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a source is.

    Attributes:
      source: a path, or a brace pattern of such.
      format: one of `readers.FORMATS`.
      image_folder: what picture paths are relative to; None for the source's own.
    """

    source: str
    format: str
    image_folder: Path | None

    def absolute(self) -> "Place":
        """For processes that work in another folder."""
        folder = self.image_folder and self.image_folder.absolute()
        # Without folding `..`, which may follow a link.
        return Place(os.path.join(os.getcwd(), self.source), self.format, folder)

    def open(self) -> DivisibleReader:
        """Its reader.

        Raises:
          DexmatchError: the format is unknown, or the source cannot be read.
        """
        return readers.open_reader(self.source, self.format, self.image_folder)


@functools.lru_cache(maxsize=1)
def _opened_once(place: Place) -> DivisibleReader:
    """Some readers look through a folder, or load a file, when they are opened."""
    reader = place.open()
    if not reader.folder.is_dir():
        raise DexmatchError(f"{reader.folder}: a worker finds no such folder")
    return reader


def _reader(place: Place) -> DivisibleReader:
    """A reader for one thread: it keeps account of what it reads."""
    return copy.copy(_opened_once(place))


@dataclasses.dataclass(frozen=True, slots=True)
class SurveyTask:
    """A part whose columns are to be found."""

    place: Place
    part: Part


def survey_part(task: SurveyTask) -> tuple[Survey, Mapping[str, int]]:
    """Finds the columns of a part, and what is left out of it (`DivisibleReader.left_out`)."""
    reader = _reader(task.place)
    found = survey_of(reader.records(with_images=False, part=task.part), reader.is_typed)
    return found, dict(reader.left_out)


@dataclasses.dataclass(frozen=True, slots=True)
class OutlineTask:
    """A part whose rows are to be told in a few words.

    Attributes:
      place: of the source.
      plan: of the import.
      part: of the source.
      with_images: whether the source holds pictures, which count where shards are cut and may be
        what a row is called by.
    """

    place: Place
    plan: Plan
    part: Part
    with_images: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """A row that wants an id.

    Attributes:
      name: the id that the source names, or the picture's name.
      is_explicit: whether it is the former.
      embedded_bytes: of its picture; 0 if that is a file.
    """

    name: str
    is_explicit: bool
    embedded_bytes: int


class _Asked(Ids):
    """Gives every row the first id of its name, and remembers which kind of name that was."""

    is_explicit = False

    def claim(self, row_id: str) -> int:
        """See `Ids`."""
        self.is_explicit = True
        return 1

    def number(self, image: str) -> int:
        """See `Ids`."""
        self.is_explicit = False
        return 1


def outline_part(task: OutlineTask) -> list[Claim | None]:
    """What each row of a part asks for; None: it is a reject whatever stands before it."""
    ids = _Asked()
    records = _reader(task.place).records(with_images=task.with_images, part=task.part)
    return [
        Claim(row.id, ids.is_explicit, embedded_bytes(row)) if isinstance(row, Row) else None
        for row in task.plan.rows_of(records, ids)
    ]


def embedded_bytes(row: Row | Reject) -> int:
    """How large the picture is that a row carries."""
    image = row.image
    return len(image.content) if isinstance(image, EmbeddedImage) else 0


@dataclasses.dataclass(frozen=True, slots=True)
class NumberedPart:
    """A part whose rows know their ids.

    Attributes:
      part: of the source.
      rows: how many there are.
      numbers: what `Ids` says to each of its claims, in order.
    """

    part: Part
    rows: int
    numbers: "array[int]"


@dataclasses.dataclass(slots=True)
class ShardsTask:
    """The shards that begin in a part.

    Attributes:
      place: of the source.
      plan: of the import.
      parts: that part, and those after it into which the last shard reaches.
      skip: number of rows in front of the first shard.
      shards: of each the file and the number of rows.
    """

    place: Place
    plan: Plan
    parts: list[NumberedPart] = dataclasses.field(default_factory=list)
    skip: int = 0
    shards: list[tuple[Path, int]] = dataclasses.field(default_factory=list)


class _Told(Ids):
    """Says what was decided already."""

    def __init__(self, numbers: "array[int]", source: str):
        self._numbers = iter(numbers)
        self._source = source

    def claim(self, row_id: str) -> int:
        """See `Ids`."""
        for number in self._numbers:
            return number
        raise _changed(self._source)

    def number(self, image: str) -> int:
        """See `Ids`."""
        return self.claim(image)


def _rows_of(part: NumberedPart, plan: Plan, reader: DivisibleReader) -> Iterator[Row | Reject]:
    records = reader.records(with_images=True, part=part.part)
    number = 0
    for number, row in enumerate(plan.rows_of(records, _Told(part.numbers, plan.name)), start=1):
        if number > part.rows:
            break
        yield row
    if number != part.rows:
        raise _changed(plan.name)


def _changed(source: str) -> DexmatchError:
    return DexmatchError(f"{source}: was changed while it was imported; start again")


def write_shards(task: ShardsTask) -> list[Result]:
    """Writes the shards that begin in a part, as the local pool does."""
    from data import shard_writer  # Loads TensorFlow.

    reader = _reader(task.place)
    rows = itertools.chain.from_iterable(_rows_of(part, task.plan, reader) for part in task.parts)
    collections.deque(itertools.islice(rows, task.skip), maxlen=0)
    results = []
    for path, count in task.shards:
        # A runner may have the same work done twice, at the same time.
        hidden = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        part = itertools.islice(rows, count)
        with disk.explained(path.parent):
            result = shard_writer.write(
                Task(hidden, reader.folder, task.plan.allowed.outside_paths, part)
            )
            if result.shard:
                os.replace(hidden, path)
                shard = result.shard.model_copy(update={"name": path.name})
                result = dataclasses.replace(result, shard=shard)
        results.append(result)
    return results

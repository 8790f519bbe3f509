"""Parts of a table of text: what a worker must know to begin in the middle of the file."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

from data.readers.base import RECORDS_PER_PART


@dataclasses.dataclass(frozen=True, slots=True)
class TablePart:
    """Some consecutive records.

    Attributes:
      offset: bytes before the first.
      lines: number of lines before it.
      known: of CSV, the fields of the last sound row before it.
      records: how many there are at most, as the file may end earlier; None for all.
    """

    offset: int
    lines: int
    known: Sequence[str] = ()
    records: int | None = None


def every_part(places: Iterable[TablePart]) -> list[TablePart]:
    """The parts of a table, of the part that would begin with each of its records."""
    return [
        dataclasses.replace(place, records=RECORDS_PER_PART)
        for place in itertools.islice(places, 0, None, RECORDS_PER_PART)
    ]

"""What every reader offers."""

import abc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from data.records import Record, Reject

Part = Any
"""Some consecutive records of a source, in few words: it can be pickled, and only the reader that
gave it knows what it says."""

RECORDS_PER_PART = 2048
"""Of a source that can be divided anywhere. A part costs a worker a look at the source."""


class Reader(abc.ABC):
    """Reads one source, record by record, as often as asked.

    Attributes:
      name: what messages and `dataset.json` call the source.
      remarks: what the user should know that is no row, in sentences; filled by `records`.
      format: what kind of source it is; of files, the name for `--format`.
      is_typed: False where every value is text, as in CSV, and numbers must be told from words.
      folder: the folder that picture paths are relative to.
    """

    name: str
    format: ClassVar[str]
    is_typed: bool = True
    folder: Path
    remarks: Sequence[str] = ()

    @abc.abstractmethod
    def records(self, *, with_images: bool) -> Iterator[Record | Reject]:
        """Yields every record, in the order of the source.

        Args:
          with_images: False leaves the content of embedded pictures empty, which is quicker.

        Yields:
          Records, and a reject for what cannot be read as a record.

        Raises:
          DexmatchError: the source as a whole cannot be read.
        """


class DivisibleReader(Reader):
    """Reads a source of which several workers can read a part each.

    Attributes:
      left_out: kind of thing that `records` left out, because it is no record, to the number.
    """

    left_out: Mapping[str, int] = MappingProxyType({})

    @abc.abstractmethod
    def parts(self) -> Sequence[Part]:
        """Divides the source: what `records` yields of all parts, in order, is the whole.

        Raises:
          DexmatchError: the source as a whole cannot be read.
        """

    @abc.abstractmethod
    def records(self, *, with_images: bool, part: Part | None = None) -> Iterator[Record | Reject]:
        """See `Reader.records`.

        Args:
          with_images: see there.
          part: the only one to read; None for the whole source.
        """

    def set_left_out(self, kinds: Mapping[str, int]) -> None:
        """Takes over what was left out of all parts; it becomes `remarks` where it matters."""
        self.left_out = kinds

"""What every reader offers."""

import abc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from data.records import Record, Reject


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

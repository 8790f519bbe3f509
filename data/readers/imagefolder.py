"""Hugging Face imagefolder: pictures beside a `metadata.csv` or `metadata.jsonl`.

Its `file_name` column is relative to the folder of the metadata file, which speaks for everything
below. A folder that has none itself, but has folders with one, such as `train/` and `test/`, is
read as one source: the pipeline splits pairs itself. Rows are those of the tables, in the order of
their paths.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from core.errors import DexmatchError
from data.readers.base import DivisibleReader
from data.readers.csv_table import CsvReader
from data.readers.folders import files_below
from data.readers.jsonl import JsonlReader
from data.readers.tables import TablePart
from data.records import Origin, Record, Reject

_READERS: dict[str, type[CsvReader | JsonlReader]] = {
    "metadata.csv": CsvReader,
    "metadata.jsonl": JsonlReader,
}


def has_metadata_below(folder: Path) -> bool:
    """Whether there is a metadata file in a folder or below it."""
    return bool(_metadata_files(folder)[0])


class ImageFolderReader(DivisibleReader):
    """A folder with metadata files."""

    format = "imagefolder"

    def __init__(self, source: str):
        """Finds the metadata files.

        Args:
          source: the folder.

        Raises:
          DexmatchError: there is none, or they are of two kinds.
        """
        self._root = self.folder = Path(source)
        self._tables, others = _metadata_files(self._root)
        if not self._tables:
            raise DexmatchError(
                f"{source}: no metadata.csv or metadata.jsonl, here or below; write one with "
                "file_name and text columns"
            )
        one_of_each = {table.name: table for table in reversed(self._tables)}
        if len(one_of_each) > 1:
            raise DexmatchError(
                f"{source}: {self._listed(one_of_each.values())} can't be one source; save all in "
                "one format, or import their folders by themselves"
            )
        self.is_typed = _READERS[self._tables[0].name].is_typed
        if others:
            self.remarks = [
                f"{self._listed(self._tables)} is read, not {self._listed(others)}; import their "
                "folders by themselves"
            ]

    def parts(self) -> Sequence[tuple[Path, TablePart]]:
        """See `DivisibleReader.parts`."""
        return [(table, part) for table in self._tables for part in _opened(table).parts()]

    def records(
        self, *, with_images: bool, part: tuple[Path, TablePart] | None = None
    ) -> Iterator[Record | Reject]:
        """See `DivisibleReader.records`."""
        for table, part_of_it in [part] if part else [(table, None) for table in self._tables]:
            path = table.relative_to(self._root)
            # A picture folder that the user names is what all paths are relative to.
            folder = path.parent.as_posix() if self.folder == self._root else ""
            for record in _opened(table).records(with_images=with_images, part=part_of_it):
                origin = Origin(path.as_posix(), record.origin.row)
                if isinstance(record, Record):
                    yield Record(origin, record.fields, folder)
                else:
                    yield dataclasses.replace(record, origin=origin)

    def _listed(self, tables: Iterable[Path]) -> str:
        return ", ".join(sorted(str(table.relative_to(self._root)) for table in tables))


def _opened(table: Path) -> CsvReader | JsonlReader:
    return _READERS[table.name](str(table))


def _metadata_files(root: Path) -> tuple[list[Path], list[Path]]:
    """Those to read, the topmost of each branch, and the others, all sorted."""
    found = [path for path in files_below(root, tuple(_READERS)) if path.name in _READERS]
    chosen: dict[Path, Path] = {}
    others = []
    for path in sorted(found, key=lambda path: (len(path.parts), path)):
        if any(folder in chosen for folder in path.parents):
            others.append(path)
        else:
            chosen[path.parent] = path
    return sorted(chosen.values()), sorted(others)

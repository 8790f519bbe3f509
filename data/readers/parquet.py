"""Parquet: one file, or a folder of files.

The picture is the struct `{bytes, path}` that Hugging Face writes, a plain binary column, or a
column of paths. Only the columns that are needed are read, some rows at a time. A row of an import
is one caption: a cell that is a list of five counts as five rows.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import DexmatchError
from data.columns import IMAGE_NAMES
from data.readers.base import RECORDS_PER_PART, DivisibleReader
from data.readers.folders import files_below
from data.records import EmbeddedImage, Origin, Reason, Record, Reject, WrittenNumber

_BATCH = 16
"""Records held at once, with their pictures."""
_BUFFER = 2**20
"""Bytes. Without it the pictures of a whole row group, often the whole file, are read at once."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """Row groups of a file that follow each other.

    Attributes:
      path: of the file.
      rows_before: number of rows in front of them.
      row_groups: their numbers.
    """

    path: Path
    rows_before: int
    row_groups: Sequence[int]


class ParquetReader(DivisibleReader):
    """Parquet files."""

    format = "parquet"

    def __init__(self, source: str):
        path = Path(source)
        self._root = path if path.is_dir() else path.parent
        self._files = files_below(path, ".parquet") if path.is_dir() else [path]
        if not self._files:
            raise DexmatchError(f"{source}: no *.parquet file in this folder")
        self.folder = self._root

    def parts(self) -> Sequence[_Part]:
        """See `DivisibleReader.parts`."""
        parts: list[_Part] = []
        for path in self._files:
            with _opened(path) as file:
                parts += _parts(path, file.metadata)
        return parts

    def records(self, *, with_images: bool, part: _Part | None = None) -> Iterator[Record | Reject]:
        """See `DivisibleReader.records`."""
        for path in [part.path] if part else self._files:
            with _opened(path) as file:
                name = str(path.relative_to(self._root))
                yield from _records(file, name, with_images, part)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DexmatchError(f"{path}: broken or not a Parquet file: {reason}") from error


def _parts(path: Path, metadata: pq.FileMetaData) -> Iterator[_Part]:
    """Row groups, several where they are small."""
    part = _Part(path, 0, ())
    rows = 0
    for group in range(metadata.num_row_groups):
        part = dataclasses.replace(part, row_groups=(*part.row_groups, group))
        rows += metadata.row_group(group).num_rows
        if rows - part.rows_before >= RECORDS_PER_PART:
            yield part
            part = _Part(path, rows, ())
    if part.row_groups:
        yield part


def _records(
    file: pq.ParquetFile, name: str, with_images: bool, part: _Part | None
) -> Iterator[Record | Reject]:
    texts = {field.name for field in file.schema_arrow if _is_binary_text(file, field)}
    images = {
        field.name
        for field in file.schema_arrow
        if _holds_images(field.type) and field.name not in texts
    }
    narrow = {
        field.name
        for field in file.schema_arrow
        if pa.types.is_float32(field.type) or pa.types.is_float16(field.type)
    }
    columns = [field.name for field in file.schema_arrow]
    wanted = columns if with_images else [column for column in columns if column not in images]
    row = part.rows_before if part else 0
    groups = part.row_groups if part else None
    for batch in file.iter_batches(batch_size=_BATCH, row_groups=groups, columns=wanted):
        for index in range(batch.num_rows):
            row += 1
            yield _record(Origin(name, row), batch.slice(index, 1), images, narrow, texts)


def _is_binary_text(file: pq.ParquetFile, field: pa.Field) -> bool:
    """Whether a binary column holds text, as some writers store it: no picture is UTF-8."""
    is_binary = pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
    if not is_binary or field.name.lower() in IMAGE_NAMES:
        return False
    batch = next(file.iter_batches(batch_size=_BATCH, columns=[field.name]), None)
    values = [] if batch is None else [value for value in batch[0].to_pylist() if value]
    try:
        return bool(values) and all(value.decode() for value in values)
    except UnicodeDecodeError:
        return False


def _holds_images(kind: pa.DataType) -> bool:
    is_binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    is_struct_with_bytes = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    return bool(is_binary or is_struct_with_bytes)


def _record(
    origin: Origin, cells: pa.RecordBatch, images: set[str], narrow: set[str], texts: set[str]
) -> Record | Reject:
    try:
        fields: dict[str, object] = cells.to_pylist()[0] if cells.num_columns else {}
    except UnicodeDecodeError as error:  # Parquet promises UTF-8; not every writer keeps it.
        return Reject(origin, "", Reason.NOT_UTF8, str(error))
    for name in texts:
        if isinstance(text := fields.get(name), bytes):
            # Bytes that are not UTF-8 are found with those of all other columns.
            fields[name] = text.decode("utf-8", errors="surrogateescape")
    for name in narrow:
        if isinstance(value := fields.get(name), float):
            # 0.1 in 32 bits is 0.10000000149011612 in 64; nobody wrote that.
            fields[name] = WrittenNumber(str(np.float32(value)))
    pictures = {name: _image(fields.get(name), name in fields) for name in images}
    return Record(origin, {**fields, **pictures})


def _image(cell: Any, was_read: bool) -> EmbeddedImage | str | None:
    if not was_read:
        return EmbeddedImage("", b"")
    if isinstance(cell, dict):
        if cell["bytes"] is None:
            return cell.get("path")
        return EmbeddedImage(cell.get("path") or "", cell["bytes"])
    return None if cell is None else EmbeddedImage("", cell)

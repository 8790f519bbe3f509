"""CSV and TSV: a header line, then one record per line, or per several lines with quotes.

A row of an import is one record. Reads UTF-8 with or without a byte order mark, any line ends, and
quoted fields that span lines.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from core.errors import DexmatchError
from data.readers.base import Reader
from data.records import Origin, Reason, Record, Reject

if TYPE_CHECKING:
    import _csv  # Where the type stubs keep the reader's type.

_MAX_FIELD = 16 * 2**20
"""Characters. A larger field is a quote that was never closed."""


class CsvReader(Reader):
    """Comma-separated values."""

    format = "csv"
    is_typed = False
    delimiter: ClassVar[str] = ","

    def __init__(self, source: str):
        self._path = Path(source)
        self.folder = self._path.parent

    def records(self, *, with_images: bool) -> Iterator[Record | Reject]:
        """See `Reader.records`."""
        del with_images  # A table holds paths only.
        csv.field_size_limit(_MAX_FIELD)
        try:
            # Bytes that are not UTF-8 cost their row only, so they must survive the reading.
            with open(self._path, encoding="utf-8-sig", errors="surrogateescape", newline="") as f:
                yield from self._rows(csv.reader(f, delimiter=self.delimiter, strict=True))
        except OSError as error:
            raise DexmatchError(f"{self._path}: cannot be read ({error.strerror})") from error

    def _rows(self, reader: "_csv.Reader") -> Iterator[Record | Reject]:
        header = self._header(reader)
        while True:
            origin = Origin(self._path.name, reader.line_num + 1)
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._stop_at_open_quote(origin, error)
                yield Reject(origin, "", Reason.MALFORMED_CSV, str(error))
                continue
            if not fields:
                continue  # A blank line.
            if len(fields) != len(header):
                detail = f"{len(fields)} fields, the header has {len(header)}"
                yield Reject(origin, "", Reason.FIELD_COUNT, detail)
                continue
            yield Record(origin, dict(zip(header, fields, strict=True)))

    def _header(self, reader: "_csv.Reader") -> list[str]:
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise DexmatchError(f"{self._path}: broken header line: {error}") from error
        if not any(header):
            raise DexmatchError(f"{self._path}: the first line must name the columns; it is empty")
        try:
            "".join(header).encode()
        except UnicodeEncodeError as error:
            raise DexmatchError(
                f"{self._path}: the header is not UTF-8; save the file as UTF-8"
            ) from error
        for name in header:
            if header.count(name) > 1:
                raise DexmatchError(f"{self._path}: two columns are named {name!r}; rename one")
        return header

    def _stop_at_open_quote(self, origin: Origin, error: csv.Error) -> None:
        """A quote that never ends swallows the rows after it, which nobody could account for."""
        message = str(error)
        if message == "unexpected end of data" or "field limit" in message:
            raise DexmatchError(
                f"{self._path}: line {origin.row}: a quoted field never ends; close its quote"
            ) from error


class TsvReader(CsvReader):
    """Tab-separated values, quoted like CSV."""

    format = "tsv"
    delimiter = "\t"

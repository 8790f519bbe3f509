"""CSV and TSV: a header line, then one record per line, or per several lines with quotes.

A row of an import is one record. Reads UTF-8 with or without a byte order mark, any line ends, and
quoted fields that span lines. A quote that somebody forgot to close would swallow the rows after
it: where the lines of a record read as rows of their own, or cannot be read together, the first one
is rejected, and reading goes on with the second.
"""

import codecs
import collections
import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from core.errors import DexmatchError
from data.readers.base import DivisibleReader
from data.readers.tables import TablePart, every_part
from data.records import Origin, Reason, Record, Reject

if TYPE_CHECKING:
    import _csv  # Where the type stubs keep the reader's type.

_MAX_FIELD = 16 * 2**20
"""Characters. A larger field is a quote that was never closed."""

_SURVIVE = "surrogateescape"

_NUMBER = re.compile(r"[-+]?[0-9][0-9.,eE+-]*")
_FILE = re.compile(r"\S.*\.[A-Za-z][A-Za-z0-9]{1,4}")
_LINE_END = re.compile(r"[\r\n]")


class CsvReader(DivisibleReader):
    """Comma-separated values."""

    format = "csv"
    is_typed = False
    delimiter: ClassVar[str] = ","

    def __init__(self, source: str):
        self._path = Path(source)
        self.folder = self._path.parent

    def parts(self) -> Sequence[TablePart]:
        """See `DivisibleReader.parts`."""
        return every_part(place for place, _ in self._placed(None))

    def records(
        self, *, with_images: bool, part: TablePart | None = None
    ) -> Iterator[Record | Reject]:
        """See `DivisibleReader.records`."""
        del with_images  # A table holds paths only.
        placed = self._placed(part)
        for _, record in itertools.islice(placed, part.records if part else None):
            yield record

    def _placed(self, part: TablePart | None) -> Iterator[tuple[TablePart, Record | Reject]]:
        """Every record with the part that begins with it, from the first of a part to the last."""
        csv.field_size_limit(_MAX_FIELD)
        try:
            with self._opened() as lines:
                reader = self._reader(lines)
                header = self._header(reader, lines)
                if part is None:
                    yield from self._rows(header, (), reader, lines)
                    return
            with self._opened(part) as lines:
                yield from self._rows(header, part.known, self._reader(lines), lines)
        except OSError as error:
            raise DexmatchError(f"{self._path}: cannot be read ({error.strerror})") from error

    @contextlib.contextmanager
    def _opened(self, part: TablePart | None = None) -> Iterator["_Lines"]:
        """The lines of the file, or those from a part on."""
        with open(self._path, "rb") as file:
            mark = codecs.BOM_UTF8 if file.read(3) == codecs.BOM_UTF8 else b""
            offset = part.offset if part else len(mark)
            file.seek(offset)
            # Bytes that are not UTF-8 cost their row only, so they must survive the reading.
            text = io.TextIOWrapper(file, encoding="utf-8", errors=_SURVIVE, newline="")
            yield _Lines(text, offset, part.lines if part else 0)

    def _reader(self, lines: "_Lines") -> "_csv.Reader":
        return csv.reader(lines, delimiter=self.delimiter, strict=True)

    def _rows(
        self,
        header: Sequence[str],
        last_good: Sequence[str],
        reader: "_csv.Reader",
        lines: "_Lines",
    ) -> Iterator[tuple[TablePart, Record | Reject]]:
        while True:
            lines.begin()
            place = TablePart(lines.offset, lines.number, last_good)
            origin = Origin(self._path.name, lines.number + 1)
            reject = None
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                fields = []
                reject = Reject(origin, "", Reason.MALFORMED_CSV, _explained(error, origin, lines))
            else:
                if not fields:
                    continue  # A blank line.
                if len(fields) != len(header):
                    detail = f"{len(fields)} fields, the header has {len(header)}"
                    reject = Reject(origin, "", Reason.FIELD_COUNT, detail + _span(origin, lines))
            known = last_good if reject else fields
            if self._read_as_rows(lines.taken[1:], known, len(header)):
                detail = (
                    "a quote that opens in this line takes in rows that follow"
                    f"{_span(origin, lines)}; close it, or write it twice"
                )
                reject = Reject(origin, "", Reason.OPEN_QUOTE, detail)
            if reject:
                yield place, reject
                lines.give_back(lines.taken[1:])  # Each of them is accounted for by itself.
            else:
                last_good = fields
                yield place, Record(origin, dict(zip(header, fields, strict=True)))

    def _header(self, reader: "_csv.Reader", lines: "_Lines") -> list[str]:
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise DexmatchError(f"{self._path}: broken header line: {error}") from error
        if not any(header):
            raise DexmatchError(f"{self._path}: the first line must name the columns; it is empty")
        if len(header) == 1 and (other := _other_delimiter(header[0])):
            raise DexmatchError(
                f"{self._path}: the first line names one column, {header[0]!r}; it seems to be "
                f"separated by {other!r}: save it with commas as .csv or with tabs as .tsv"
            )
        if self._read_as_rows(lines.taken[1:], (), len(header)):
            raise DexmatchError(
                f"{self._path}: a quote that opens in the header takes in the rows; close it"
            )
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

    def _read_as_rows(self, lines: Sequence[str], known: Sequence[str], columns: int) -> bool:
        """Whether lines that stand in one quoted field are rows of their own.

        They are if they have the header's number of fields, and in these what a row has there: a
        file name where `known`, the fields of a row, has one, a number where it has a number, no
        space where it has none. A field of several lines says nothing.
        """
        kinds = [_kind(value) for value in known]
        is_told = any(kind in _KINDS_THAT_TELL for kind in kinds)
        alike = 0
        for line in lines:
            fields = next(csv.reader([line], delimiter=self.delimiter), [])
            if len(fields) == columns and all(
                _is_alike(_kind(value), kind) for value, kind in zip(fields, kinds, strict=False)
            ):
                alike += 1
                if is_told:
                    return True
        # Commas in prose may come in any number: without a column that tells, all lines must agree.
        return alike > 1 and alike == len(lines)


class TsvReader(CsvReader):
    """Tab-separated values, quoted like CSV."""

    format = "tsv"
    delimiter = "\t"


class _Lines:
    """The lines of a file, some of which may be given back.

    Attributes:
      offset: bytes of the file before the next one.
      number: how many lines stand there.
      taken: those read since `begin`.
    """

    def __init__(self, file: Iterator[str], offset: int, number: int):
        self._file = file
        self._given_back: collections.deque[str] = collections.deque()
        self.offset = offset
        self.number = number
        self.taken: list[str] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._given_back.popleft() if self._given_back else next(self._file)
        self.offset += _size(line)
        self.number += 1
        self.taken.append(line)
        return line

    def begin(self) -> None:
        """A new record begins."""
        self.taken = []

    def give_back(self, lines: Sequence[str]) -> None:
        """The last lines that were taken come again."""
        self._given_back.extendleft(reversed(lines))
        self.offset -= sum(map(_size, lines))
        self.number -= len(lines)


def _size(line: str) -> int:
    """Bytes that it takes in the file."""
    return len(line.encode(errors=_SURVIVE))


_KINDS_THAT_TELL = ("number", "file", "word")


def _other_delimiter(header: str) -> str | None:
    return next((mark for mark in ("\t", ";", "|", ",") if mark in header), None)


def _kind(value: str) -> str:
    """What a field holds, roughly; empty where that says nothing."""
    value = value.strip()
    if not value or _LINE_END.search(value):
        return ""
    if _NUMBER.fullmatch(value):
        return "number"
    if _FILE.fullmatch(value):
        return "file"
    return "text" if " " in value else "word"


def _is_alike(kind: str, known: str) -> bool:
    """Whether a field holds what a column holds."""
    if known in ("number", "file"):
        return kind == known
    return known != "word" or kind in _KINDS_THAT_TELL


def _explained(error: csv.Error, origin: Origin, lines: _Lines) -> str:
    message = str(error)
    if message == "unexpected end of data" or "field limit" in message:
        return f"a quoted field that begins in this line never ends{_span(origin, lines)}"
    return message + _span(origin, lines)


def _span(origin: Origin, lines: _Lines) -> str:
    """Which lines a record covers, if they are several."""
    return f" (lines {origin.row} to {lines.number})" if lines.number > origin.row else ""

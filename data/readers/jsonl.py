"""JSON Lines: one object per line.

A row of an import is one caption: a record whose caption is a list of five counts as five rows, a
record without any, or a line that cannot be read, as one.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import DexmatchError
from data.readers.base import DivisibleReader
from data.readers.tables import TablePart, every_part
from data.records import Origin, Reason, Record, Reject, WrittenNumber


class JsonlReader(DivisibleReader):
    """JSON Lines."""

    format = "jsonl"

    def __init__(self, source: str):
        self._path = Path(source)
        self.folder = self._path.parent

    def parts(self) -> Sequence[TablePart]:
        """See `DivisibleReader.parts`."""
        return every_part(place for place, _ in self._placed(TablePart(0, 0)))

    def records(
        self, *, with_images: bool, part: TablePart | None = None
    ) -> Iterator[Record | Reject]:
        """See `DivisibleReader.records`."""
        del with_images  # The file holds paths only.
        placed = self._placed(part or TablePart(0, 0))
        for place, line in itertools.islice(placed, part.records if part else None):
            yield _parse(Origin(self._path.name, place.lines + 1), line)

    def _placed(self, part: TablePart) -> Iterator[tuple[TablePart, bytes]]:
        """Every line that holds something, with the part that begins with it, from a part on."""
        try:
            with open(self._path, "rb") as lines:
                offset = lines.seek(part.offset)
                for number, line in enumerate(lines, start=part.lines):
                    if line.strip():
                        yield TablePart(offset, number), line
                    offset += len(line)
        except OSError as error:
            raise DexmatchError(f"{self._path}: cannot be read ({error.strerror})") from error


def _parse(origin: Origin, line: bytes) -> Record | Reject:
    try:
        # The mark that some editors put before the first line; json would refuse it.
        fields = json.loads(
            line.decode("utf-8-sig" if origin.row == 1 else "utf-8"), parse_float=WrittenNumber
        )
    except UnicodeDecodeError as error:
        return Reject(origin, "", Reason.NOT_UTF8, f"byte {error.start + 1} of the line")
    except (ValueError, RecursionError) as error:
        return Reject(
            origin, "", Reason.INVALID_JSON, f"{error}; a line must hold one whole object"
        )
    if not isinstance(fields, dict):
        return Reject(
            origin,
            "",
            Reason.INVALID_JSON,
            "not an object in { }; a line must hold one whole object",
        )
    return Record(origin, fields)

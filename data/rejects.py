"""Keeps account of the rejected rows: `rejects.csv`, the counts, and how many are too many."""

import collections
import csv
import os
from pathlib import Path
from typing import Self

from core.errors import DexmatchError
from data.records import Reason, Reject

_COLUMNS = ("file", "row", "image", "reason", "detail")
_EXAMPLES = 3


class Rejects:
    """Writes rejects to a file as they come, and counts them; without any, no file is left.

    Attributes:
      counts: reason to number.
      examples: reason to the first few.
    """

    def __init__(self, path: Path):
        self._path = path
        self.counts: collections.Counter[Reason] = collections.Counter()
        self.examples: dict[Reason, list[Reject]] = {}

    def __enter__(self) -> Self:
        """Opens the file."""
        # Names that are not UTF-8 are written with \\x.. for the bytes that are not.
        self._file = open(self._path, "w", encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(_COLUMNS)
        return self

    def __exit__(self, *error: object) -> None:
        """Closes it, safely on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if not self.counts:
            self._path.unlink()

    def add(self, reject: Reject) -> None:
        """Writes and counts one."""
        origin = reject.origin
        line = (origin.file, origin.row, reject.image, reject.reason.value, reject.detail)
        self._writer.writerow(line)
        self.counts[reject.reason] += 1
        examples = self.examples.setdefault(reject.reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(reject)

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts.total()

    def summary(self) -> list[str]:
        """Every reason with its number and the first few rows, as lines."""
        lines = []
        for reason, count in self.by_reason().items():
            lines.append(f"{reason}: {count} rows")
            for reject in self.examples[Reason(reason)]:
                image = f" ({reject.image})" if reject.image else ""
                place = f"{reject.origin.file}, row {reject.origin.row}{image}"
                lines.append(f"  {place}: {reject.detail}")
        return lines

    def by_reason(self) -> dict[str, int]:
        """Reason to number, the most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return {reason.value: count for reason, count in ordered}


def allowed(limit: str, read: int) -> int:
    """How many rejects an import may have.

    Args:
      limit: `5%` or `0.05` of the rows, or a whole number of rows.
      read: number of rows.

    Returns:
      The number of rows.

    Raises:
      DexmatchError: the limit is none of these.
    """
    text = limit.strip()
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100
        elif "." in text:
            share = float(text)
        else:
            count = int(text)
            if count >= 0:
                return count
            raise ValueError
        if 0 <= share <= 1:
            return int(share * read)
    except ValueError:
        pass
    raise DexmatchError(f"--max-rejects {limit}: write a share like 5% or 0.05, or a count like 20")

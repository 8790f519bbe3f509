"""One look at all records of a source: which columns there are, and what type their values have."""

import collections
import dataclasses
import hashlib
import math
import re
from collections.abc import Iterable
from typing import Literal

from core import features
from data.readers.base import Reader
from data.records import EmbeddedImage, Record, Reject

FeatureType = Literal["int64", "float", "bytes"]

# No leading zero: 007 is a name. No -0 either.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
INT64 = range(-(2**63), 2**63)


@dataclasses.dataclass(slots=True)
class Survey:
    """What one look at all records finds.

    Attributes:
      records: how many there are, broken ones included.
      types: column name to type, in order of first appearance; None: no value seen.
      list_items: column name to the number of list items in it, the first of each list left out.
      pictures: the columns that hold pictures.
      id_repeats: whether the column that would be guessed to name the pairs has a value twice.
      ids: fingerprints of its values, as long as none has come twice.
    """

    records: int = 0
    types: dict[str, FeatureType | None] = dataclasses.field(default_factory=dict)
    list_items: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    pictures: set[str] = dataclasses.field(default_factory=set)
    id_repeats: bool = False
    ids: set[int] = dataclasses.field(default_factory=set)

    def rows(self, caption: str) -> int:
        """How many rows the records make, if `caption` is the caption column."""
        return self.records + self.list_items[caption]

    def add(self, record: Record, is_typed: bool) -> None:
        """Looks at a record; `is_typed` is as in `value_type`."""
        if not self.id_repeats and (pair_id := plain(record.fields.get(features.ID))):
            self._add_ids({_fingerprint(str(pair_id))})
        for name, value in record.fields.items():
            if isinstance(value, EmbeddedImage):
                self.pictures.add(name)
            elif isinstance(value, list) and value:
                self.list_items[name] += len(value) - 1
            seen = self.types.setdefault(name, None)
            if seen != "bytes":  # The widest type; nothing can change it.
                self.types[name] = _wider(seen, value_type(plain(value), is_typed))

    def merge(self, other: "Survey") -> None:
        """Adds what was found in the records that follow."""
        self.records += other.records
        self.list_items += other.list_items
        self.pictures |= other.pictures
        self.id_repeats |= other.id_repeats
        self._add_ids(other.ids)
        for name, kind in other.types.items():
            self.types[name] = _wider(self.types.get(name), kind)

    def _add_ids(self, ids: set[int]) -> None:
        self.id_repeats |= not self.ids.isdisjoint(ids)
        if self.id_repeats:
            self.ids.clear()
        else:
            self.ids |= ids


def survey(reader: Reader) -> Survey:
    """Looks at every record of a source, without its pictures."""
    return survey_of(reader.records(with_images=False), reader.is_typed)


def survey_of(records: Iterable[Record | Reject], is_typed: bool) -> Survey:
    """Looks at some of the records of a source; `is_typed` is that of its reader."""
    found = Survey()
    for record in records:
        found.records += 1
        if isinstance(record, Record):
            found.add(record, is_typed)
    return found


def plain(value: object) -> object:
    """A value without the white space around it; None where nothing is left."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, float) and math.isnan(value):
        return None  # What pandas writes for a missing value.
    return value


def value_type(value: object, is_typed: bool) -> FeatureType | None:
    """The narrowest type that holds a value.

    Args:
      value: what `plain` gave.
      is_typed: whether text is text even where it looks like a number.

    Returns:
      The type, None for no value.
    """
    match value:
        case None:
            return None
        case int():  # And bool, as 0 or 1.
            return "int64" if value in INT64 else "bytes"
        case str() if not is_typed and _INTEGER.fullmatch(value):
            # The longest has 20 characters; Python takes its time over thousands of digits.
            return "int64" if len(value) <= 20 and int(value) in INT64 else "bytes"
    return "bytes"


def _wider(first: FeatureType | None, second: FeatureType | None) -> FeatureType | None:
    order: tuple[FeatureType | None, ...] = (None, "int64", "bytes")
    return max(first, second, key=order.index)


def _fingerprint(text: str) -> int:
    """The same in every process, as Python's own hash is not."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)

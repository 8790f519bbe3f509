"""Slices of the test split: their names, and which of them a threshold means.

A slice is made by (column, value) pairs, its *parts*; the whole split has none. TFMA puts them in
the order of the columns.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from core import buckets
from core.features import AGAINST, BUCKETS, HARD, MATCHED, PAIR_KIND, RANDOM

Parts = tuple[tuple[str, Any], ...]
"""(column, value) pairs."""

OVERALL = "overall"
CROSS = " × "
AGAINST_RANDOM = f"{AGAINST}:{RANDOM}"
AGAINST_HARD = f"{AGAINST}:{HARD}"
TRUE_PAIRS = f"{PAIR_KIND}:{MATCHED}"
KEY_SLICES = (OVERALL, AGAINST_RANDOM, AGAINST_HARD)
"""The slices that say most about a model."""

EVERY = "*"
"""As the value of a column in a threshold's slice: each of the column's values."""
EVERY_SLICE = f"{EVERY}:{EVERY}"
"""As a threshold's slice: each one by metadata, see `is_by_metadata`."""

OF_PAIRS = (PAIR_KIND, AGAINST)
"""Columns that tell how a pair was made, and nothing of its picture or caption."""
OWN_COLUMNS = (*OF_PAIRS, *BUCKETS)
"""Columns of our own making, which every data set has."""


def slice_name(parts: Iterable[tuple[str, Any]]) -> str:
    """A slice's name: `OVERALL`, "column:value", or several of these joined by `CROSS`.

    The summary prints it, and a threshold's `slice` takes it.
    """
    return CROSS.join(f"{column}:{value}" for column, value in parts) or OVERALL


def parts_of(name: str) -> tuple[tuple[str, str], ...]:
    """The parts that `slice_name` makes a name from, the values as text."""
    if name == OVERALL:
        return ()
    pairs = (part.partition(":") for part in name.split(CROSS))
    return tuple((column, value) for column, _, value in pairs)


def is_by_metadata(columns: Iterable[str]) -> bool:
    """Whether slices made by these columns tell apart pictures or captions.

    One of the columns must be metadata or a bucket. So it is neither the whole split nor a kind of
    pair, but may be a cross of the two: "against:hard × color:red".
    """
    return any(column not in OF_PAIRS for column in columns)


def is_one(asked: Parts) -> bool:
    """Whether a threshold's slice is a single one, and not each value of a column."""
    return all(value != EVERY for _, value in asked)


def is_meant(parts: Parts, asked: Parts) -> bool:
    """Whether a threshold means a slice. TFMA says the same of the bounds that we give it.

    Args:
      parts: those of the slice.
      asked: those of the threshold's slice, in any order; `EVERY` is any value, and `EVERY_SLICE`
        any slice by metadata.
    """
    if asked == parts_of(EVERY_SLICE):
        return is_by_metadata(column for column, _ in parts)
    bounded, values = dict(asked), dict(parts)
    return bounded.keys() == values.keys() and all(
        value == EVERY or _read(value) == _read(values[column]) for column, value in bounded.items()
    )


def value_of_none(
    asked: Iterable[tuple[str, str]], values: Mapping[str, Collection[Any]]
) -> tuple[str, str] | None:
    """The part of a threshold's slice that no pair can have, whatever the split; None if all can.

    Args:
      asked: the parts.
      values: column to all values that its pairs have; a column that is missing may have any.
    """
    for column, value in asked:
        known = values.get(column)
        if known is not None and value != EVERY and _read(value) not in map(_read, known):
            return column, value
    return None


def values_of_own(has_hard_negatives: bool) -> dict[str, tuple[str, ...]]:
    """Each of `OWN_COLUMNS` to all values that it can have.

    Args:
      has_hard_negatives: whether hard negatives are drawn.
    """
    contests = (RANDOM, HARD) if has_hard_negatives else (RANDOM,)
    return {PAIR_KIND: (MATCHED, *contests), AGAINST: contests, **buckets.values()}


def _read(value: Any) -> Any:
    """A value as TFMA compares it: what reads as a number is one, so that "1" is "1.0"."""
    if isinstance(value, int | float):
        return value
    text = str(value)
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text

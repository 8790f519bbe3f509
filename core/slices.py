"""Slices of the test split by name: "overall", "column:value", or a cross of several of these."""

from collections.abc import Iterable
from typing import Any

from core import features


def slice_name(key: Iterable[tuple[str, Any]]) -> str:
    """A slice's name from its (column, value) pairs, in TFMA's order; "overall" if there are none.

    The summary prints it, and a threshold's `slice` takes it.
    """
    return features.CROSS.join(f"{column}:{value}" for column, value in key) or features.OVERALL

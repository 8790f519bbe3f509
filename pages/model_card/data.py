"""What the card tells of the data: each split in numbers, and its metadata in words."""

from dataclasses import dataclass

from core import features
from pages import splits

_MOST_VALUES = 12


@dataclass(frozen=True)
class Column:
    """A metadata column of a split.

    Attributes:
      name: of the feature.
      values: what it holds, in words.
      missing: number of pairs without a value.
    """

    name: str
    values: str
    missing: int


@dataclass(frozen=True)
class Split:
    """What a split holds.

    Attributes:
      name: "train", "val" or "test".
      pairs: number of examples, negatives included.
      kinds: number of examples by pair kind.
      images: distinct pictures.
      groups: distinct groups.
      captions: distinct captions.
      columns: the metadata.
    """

    name: str
    pairs: int
    kinds: dict[str, int]
    images: int
    groups: int
    captions: int
    columns: tuple[Column, ...]


def describe_split(name: str, split: splits.Split) -> Split:
    """A split as the card shows it."""

    def distinct(feature: str) -> int:
        return (split.features[feature].distinct or 0) if feature in split.features else 0

    return Split(
        name=name,
        pairs=split.examples,
        kinds=dict(split.features[features.PAIR_KIND].most_frequent),
        images=distinct(features.IMAGE),
        groups=distinct(features.GROUP),
        captions=distinct(features.CAPTION),
        columns=tuple(
            Column(feature, _values_in_words(found), found.missing)
            for feature, found in split.features.items()
            if feature not in features.RESERVED
        ),
    )


def _values_in_words(found: splits.Feature) -> str:
    if found.numbers:
        numbers = found.numbers
        return f"{numbers.minimum:g} to {numbers.maximum:g}, median {numbers.median:g}"
    values = found.most_frequent[:_MOST_VALUES]
    shown = ", ".join(f"{value} {count:,}" for value, count in values)
    more = (found.distinct or 0) - len(values)
    return shown + (f" and {more:,} more" if more > 0 else "")

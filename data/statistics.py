"""Counts over the imported pairs, kept small so that they can be passed on and added up."""

import collections
import dataclasses
import hashlib
from collections.abc import Sequence

from core import features
from core.words import count_words
from data.dataset import MAX_DISTINCT, Quantiles, Sample, Value
from data.pictures import Picture
from data.records import Row

_SAMPLES = 5
_LONGEST = 3


@dataclasses.dataclass(slots=True)
class Statistics:
    """What is counted. Adding up the counts of parts gives those of the whole, in any order.

    Attributes:
      pairs: how many.
      groups: fingerprints of the groups.
      images: fingerprints of the pictures' content.
      present: feature name to the number of pairs that have it.
      values: metadata feature to its values with their counts; None where they are too many.
      words: number of words of a caption to the number of such captions.
      longest: (words, id) of a few pairs with the longest captions.
      heights: pixels to the number of pictures.
      widths: pixels to the number of pictures.
      samples: some pairs, in order.
    """

    pairs: int = 0
    groups: set[int] = dataclasses.field(default_factory=set)
    images: set[int] = dataclasses.field(default_factory=set)
    present: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    values: dict[str, collections.Counter[Value] | None] = dataclasses.field(default_factory=dict)
    words: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    longest: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    heights: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    widths: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    samples: list[Sample] = dataclasses.field(default_factory=list)

    def add(self, row: Row, picture: Picture, group: str, image: str) -> None:
        """Counts one pair; `image` names the picture by its content."""
        self.pairs += 1
        self.groups.add(_fingerprint(group))
        self.images.add(_fingerprint(image))
        self._add_words(row)
        self.heights[picture.height] += 1
        self.widths[picture.width] += 1
        self.present.update(features.REQUIRED)
        self.present.update(row.metadata.keys())
        self.present[features.HARD_CAPTION] += bool(row.hard_captions)
        for name, value in row.metadata.items():
            self._add_values(name, collections.Counter([value]))
        if len(self.samples) < _SAMPLES:
            self.samples.append(Sample(id=row.id, caption=row.caption))

    def merge(self, other: "Statistics") -> None:
        """Adds the counts of pairs that follow."""
        self.pairs += other.pairs
        self.groups |= other.groups
        self.images |= other.images
        self.present += other.present
        self.words += other.words
        self.longest = sorted((*self.longest, *other.longest), reverse=True)[:_LONGEST]
        self.heights += other.heights
        self.widths += other.widths
        self.samples += other.samples
        for name, counts in other.values.items():
            self._add_values(name, counts)

    def spread_samples(self) -> tuple[Sample, ...]:
        """A few of the samples, evenly spaced over the data set."""
        step = max(1, len(self.samples) // _SAMPLES)
        return tuple(self.samples[::step][:_SAMPLES])

    def _add_words(self, row: Row) -> None:
        words = count_words(row.caption)
        self.words[words] += 1
        if len(self.longest) < _LONGEST or words > self.longest[-1][0]:
            self.longest = sorted((*self.longest, (words, row.id)), reverse=True)[:_LONGEST]

    def _add_values(self, name: str, counts: collections.Counter[Value] | None) -> None:
        known = self.values.setdefault(name, collections.Counter())
        if known is None or counts is None:
            self.values[name] = None
            return
        known.update(counts)
        if len(known) > MAX_DISTINCT:
            self.values[name] = None


def quantiles(counts: collections.Counter[int]) -> Quantiles:
    """The distribution of numbers of which each is counted; there is at least one."""
    ordered = sorted(counts.items())
    return Quantiles(
        minimum=ordered[0][0],
        p5=_quantile(ordered, 0.05),
        median=_quantile(ordered, 0.5),
        p95=_quantile(ordered, 0.95),
        maximum=ordered[-1][0],
    )


def _quantile(ordered: Sequence[tuple[int, int]], share: float) -> int:
    """The smallest number that at least `share` of all do not exceed."""
    wanted = share * sum(count for _, count in ordered)
    seen = 0
    for number, count in ordered:
        seen += count
        if seen >= wanted:
            return number
    return ordered[-1][0]


def _fingerprint(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())

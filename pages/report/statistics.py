"""TFDV's statistics, schema and anomalies as plain figures, the splits side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core import features
from pages import sources, splits
from pages.sources import Sources
from pages.splits import Numbers
from results.anomalies import expectation, explain, read_anomalies

_TOP = 5
_BARS = 24
NEARLY_DISTINCT = (
    features.IMAGE,
    features.ID,
    features.CAPTION_ID,
    features.CAPTION,
    features.GROUP,
    features.HARD_CAPTION,
)
"""Features whose values are nearly all others, so that how often each is there says nothing."""


@dataclass(frozen=True)
class Value:
    """One of the most frequent values: its text, how often it is there, and as a share."""

    text: str
    count: int
    share: float


@dataclass(frozen=True)
class FeatureStatistics:
    """A feature in one split.

    Attributes:
      missing: share of the examples that have none.
      distinct: number of distinct values; None for numbers.
      numbers: where the values lie; None for text.
      mean_length: of a text or a picture, in bytes; None for numbers.
      top: the most frequent values.
      bars: heights of a histogram, from 0 to 1.
    """

    missing: float
    distinct: int | None
    numbers: Numbers | None
    mean_length: float | None
    top: tuple[Value, ...]
    bars: tuple[float, ...]


@dataclass(frozen=True)
class Feature:
    """A feature in all splits.

    Attributes:
      name: of the feature.
      expected: what the schema asks for, in words.
      by_split: split to its statistics.
    """

    name: str
    expected: str
    by_split: Mapping[str, FeatureStatistics]


@dataclass(frozen=True)
class Statistics:
    """What TFDV found.

    Attributes:
      examples: split to the number of its examples.
      features: metadata and all others, by name.
      anomalies: in words; none if the data fit the schema.
    """

    examples: Mapping[str, int]
    features: tuple[Feature, ...]
    anomalies: tuple[str, ...]


def gather_statistics(of: Sources) -> Statistics:
    """Reads statistics, schema and anomalies; what the run lacks is left out."""
    expected = {each.name: expectation(each, of.schema) for each in of.schema.feature}
    names = sorted({name for split in of.splits.values() for name in split.features})
    return Statistics(
        examples={name: split.examples for name, split in of.splits.items()},
        features=tuple(
            Feature(
                name=name,
                expected=expected.get(name, ""),
                by_split={
                    split_name: _figures(name, split.features[name], split.examples)
                    for split_name, split in of.splits.items()
                    if name in split.features
                },
            )
            for name in names
        ),
        anomalies=tuple(
            sentence
            for split, uri in of.split_uris(sources.ANOMALIES).items()
            for sentence in explain(split, read_anomalies(uri), of.schema)
        ),
    )


def _figures(name: str, found: splits.Feature, examples: int) -> FeatureStatistics:
    total = found.values or 1
    # Where nearly every value is another, the most frequent ones say nothing.
    is_telling = name not in NEARLY_DISTINCT and (found.distinct or 0) <= max(_TOP, total / 2)
    ranks = found.most_frequent[:_BARS] if is_telling else ()
    return FeatureStatistics(
        missing=found.missing / examples if examples else 0.0,
        distinct=found.distinct,
        numbers=found.numbers,
        mean_length=found.mean_length,
        top=tuple(Value(value, count, count / total) for value, count in ranks[:_TOP]),
        bars=_bars(found.histogram or [count for _, count in ranks]),
    )


def _bars(counts: Sequence[float]) -> tuple[float, ...]:
    """Heights from 0 to 1; none where there is nothing to show."""
    highest = max(counts, default=0.0)
    return tuple(count / highest for count in counts) if highest else ()

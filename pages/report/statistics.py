"""TFDV's statistics, schema and anomalies as plain figures, the splits side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from core import features
from pages.report import sources
from pages.report.sources import Sources
from results import split_statistics
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
      numbers: minimum, mean, median and maximum; None for text.
      mean_length: of a text or a picture, in bytes; None for numbers.
      top: the most frequent values.
      bars: heights of a histogram, from 0 to 1.
    """

    missing: float
    distinct: int | None
    numbers: tuple[float, float, float, float] | None
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


def gather(of: Sources) -> Statistics:
    """Reads statistics, schema and anomalies; what the run lacks is left out."""
    read = {
        name: split_statistics.load(uri) for name, uri in of.split_uris(sources.STATISTICS).items()
    }
    schema = load_schema(of)
    found = {
        split: {
            _name(each): _figures(each, data.datasets[0].num_examples, _name(each))
            for each in data.datasets[0].features
        }
        for split, data in read.items()
    }
    expected = {each.name: expectation(each, schema) for each in schema.feature}
    names = sorted({name for by_name in found.values() for name in by_name})
    return Statistics(
        examples={split: data.datasets[0].num_examples for split, data in read.items()},
        features=tuple(
            Feature(
                name=name,
                expected=expected.get(name, ""),
                by_split={
                    split: by_name[name] for split, by_name in found.items() if name in by_name
                },
            )
            for name in names
        ),
        anomalies=tuple(
            sentence
            for split, uri in of.split_uris(sources.ANOMALIES).items()
            for sentence in explain(split, read_anomalies(uri), schema)
        ),
    )


def load_schema(of: Sources) -> schema_pb2.Schema:
    """Reads the run's schema; an empty one if it has none."""
    schema = schema_pb2.Schema()
    if sources.SCHEMA in of.artifacts:
        path = next(Path(of.uri(sources.SCHEMA)).glob("*.pbtxt"))
        text_format.Parse(path.read_text(encoding="utf-8"), schema)
    return schema


def _name(found: statistics_pb2.FeatureNameStatistics) -> str:
    return found.name or ".".join(found.path.step)


def _figures(
    found: statistics_pb2.FeatureNameStatistics, examples: int, name: str
) -> FeatureStatistics:
    kind = found.WhichOneof("stats")
    statistics = getattr(found, kind)
    missing = statistics.common_stats.num_missing / examples if examples else 0.0
    if kind == "num_stats":
        return FeatureStatistics(
            missing=missing,
            distinct=None,
            numbers=(statistics.min, statistics.mean, statistics.median, statistics.max),
            mean_length=None,
            top=(),
            bars=_histogram(statistics),
        )
    total = statistics.common_stats.tot_num_values or 1
    # Where nearly every value is another, the most frequent ones say nothing.
    is_telling = name not in NEARLY_DISTINCT and statistics.unique <= max(_TOP, total / 2)
    ranks = statistics.rank_histogram.buckets[:_BARS] if is_telling else []
    highest = max((bucket.sample_count for bucket in ranks), default=1.0) or 1.0
    return FeatureStatistics(
        missing=missing,
        distinct=statistics.unique,
        numbers=None,
        mean_length=statistics.avg_length,
        top=tuple(
            Value(bucket.label, round(bucket.sample_count), bucket.sample_count / total)
            for bucket in ranks[:_TOP]
        ),
        bars=tuple(bucket.sample_count / highest for bucket in ranks),
    )


def _histogram(statistics: statistics_pb2.NumericStatistics) -> tuple[float, ...]:
    standard = statistics_pb2.Histogram.STANDARD
    found = next((each for each in statistics.histograms if each.type == standard), None)
    counts = [bucket.sample_count for bucket in found.buckets] if found else []
    highest = max(counts, default=0.0)
    return tuple(count / highest for count in counts) if highest else ()

"""What a split holds, as TFDV counted it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tensorflow_metadata.proto.v0 import statistics_pb2

from results import split_statistics


class Numbers(NamedTuple):
    """Where the values of a numeric feature lie."""

    minimum: float
    mean: float
    median: float
    maximum: float


@dataclass(frozen=True)
class Feature:
    """A feature in one split.

    Attributes:
      missing: number of examples that have none.
      values: number of values, of all examples together.
      distinct: number of distinct values; None for numbers.
      numbers: None for text and pictures.
      mean_length: of a text or a picture, in bytes; None for numbers.
      most_frequent: (value, how often it is there), the most frequent first; none for numbers.
      histogram: number of values in each of TFDV's bins of equal width; none for text.
    """

    missing: int
    values: int
    distinct: int | None
    numbers: Numbers | None
    mean_length: float | None
    most_frequent: tuple[tuple[str, int], ...]
    histogram: tuple[float, ...]


@dataclass(frozen=True)
class Split:
    """A split.

    Attributes:
      examples: number of pairs, negatives included.
      features: by name.
      statistics: as TFDV's own functions take them.
    """

    examples: int
    features: Mapping[str, Feature]
    statistics: statistics_pb2.DatasetFeatureStatisticsList


def read_split(folder: str) -> Split:
    """Reads the statistics of a split of an `ExampleStatistics` artifact.

    Raises:
      FileNotFoundError: they are not there.
    """
    statistics = split_statistics.load(folder)
    dataset = statistics.datasets[0]
    features = {".".join(each.path.step) or each.name: each for each in dataset.features}
    return Split(
        examples=dataset.num_examples,
        features={name: _feature(found) for name, found in sorted(features.items())},
        statistics=statistics,
    )


def _feature(found: statistics_pb2.FeatureNameStatistics) -> Feature:
    kind = found.WhichOneof("stats")
    statistics = getattr(found, kind)
    common = statistics.common_stats
    if kind == "num_stats":
        return Feature(
            missing=common.num_missing,
            values=common.tot_num_values,
            distinct=None,
            numbers=Numbers(statistics.min, statistics.mean, statistics.median, statistics.max),
            mean_length=None,
            most_frequent=(),
            histogram=_histogram(statistics),
        )
    return Feature(
        missing=common.num_missing,
        values=common.tot_num_values,
        distinct=statistics.unique,
        numbers=None,
        mean_length=statistics.avg_length,
        most_frequent=tuple(
            (bucket.label, round(bucket.sample_count))
            for bucket in statistics.rank_histogram.buckets
        ),
        histogram=(),
    )


def _histogram(statistics: statistics_pb2.NumericStatistics) -> tuple[float, ...]:
    standard = statistics_pb2.Histogram.STANDARD
    found = next((each for each in statistics.histograms if each.type == standard), None)
    return tuple(bucket.sample_count for bucket in found.buckets) if found else ()

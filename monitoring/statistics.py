"""TFDV's statistics of one feature at a time, and how far two of them are apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from results.data_validation import tfdv

L_INFINITY, JENSEN_SHANNON = "L-infinity", "Jensen-Shannon"

_NAME = "feature"
_TYPES = {
    statistics_pb2.FeatureNameStatistics.INT: schema_pb2.INT,
    statistics_pb2.FeatureNameStatistics.FLOAT: schema_pb2.FLOAT,
    statistics_pb2.FeatureNameStatistics.STRING: schema_pb2.BYTES,
}


@dataclass(frozen=True)
class Distribution:
    """The values of one feature.

    Attributes:
      statistics: as TFDV makes them.
    """

    statistics: statistics_pb2.FeatureNameStatistics

    @classmethod
    def from_counts(cls, counts: Mapping[Any, int]) -> "Distribution | None":
        """Has TFDV describe values that are given with how often each is there; None without."""
        kept = {value: count for value, count in counts.items() if count}
        if not kept:
            return None
        column = np.repeat(np.array(list(kept)), list(kept.values()))
        made = tfdv.generate_statistics_from_dataframe(pd.DataFrame({_NAME: column}))
        return cls(made.datasets[0].features[0])

    @property
    def count(self) -> int:
        """Number of values."""
        stats = getattr(self.statistics, self.statistics.WhichOneof("stats"))
        return int(stats.common_stats.tot_num_values or stats.common_stats.num_non_missing)

    @property
    def shares(self) -> dict[str, float]:
        """Text to its share of the values."""
        ranked = self.statistics.string_stats.rank_histogram.buckets
        return {bucket.label: bucket.sample_count / self.count for bucket in ranked}

    @property
    def is_numeric(self) -> bool:
        """Whether the values are numbers."""
        return self.statistics.WhichOneof("stats") == "num_stats"


def distance(log: Distribution, training: Distribution) -> float:
    """How far the values are apart, from 0 to 1, as TFDV measures it for drift.

    L-infinity for texts: the largest difference of a value's share. Jensen-Shannon divergence for
    numbers, over their histograms.
    """
    schema = schema_pb2.Schema()
    feature = schema.feature.add(name=_NAME, type=_TYPES[training.statistics.type])
    comparator = feature.drift_comparator
    chosen = (
        comparator.jensen_shannon_divergence if training.is_numeric else comparator.infinity_norm
    )
    chosen.threshold = 1.0
    found = tfdv.validate_statistics(_dataset(log), schema, previous_statistics=_dataset(training))
    return float(found.drift_skew_info[0].drift_measurements[0].value)


def _dataset(distribution: Distribution) -> statistics_pb2.DatasetFeatureStatisticsList:
    made = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = made.datasets.add(num_examples=distribution.count)
    feature = dataset.features.add()
    feature.CopyFrom(distribution.statistics)
    # TFDV's own files name features by a path of one step.
    feature.path.step[:] = [_NAME]
    return made

"""How far two sets of statistics are apart, by TFDV's own distances."""

from collections.abc import Mapping
from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from pages.report.statistics import NEARLY_DISTINCT
from results.data_validation import tfdv

NOTABLE = 0.1
"""A distance from which it is marked; both distances go from 0 to 1."""
_MEASURES = {
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: "L∞",
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: "Jensen–Shannon",
}


@dataclass(frozen=True)
class Distance:
    """How far a feature is from what it was.

    Attributes:
      measure: "L∞", the largest difference of any value's share, or "Jensen–Shannon" for numbers.
      value: 0 for the same distribution, at most 1.
      is_notable: whether it is larger than `NOTABLE`.
    """

    measure: str
    value: float
    is_notable: bool


def feature_distances(
    now: statistics_pb2.DatasetFeatureStatisticsList,
    before: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
) -> Mapping[str, Distance]:
    """Feature to its distance, for the features that can be compared.

    Those with nearly as many values as examples cannot: it would only tell how many examples there
    are.
    """
    asking = schema_pb2.Schema()
    asking.CopyFrom(schema)
    for feature in asking.feature:
        comparator = feature.drift_comparator
        comparator.Clear()
        if feature.type == schema_pb2.BYTES:
            comparator.infinity_norm.threshold = NOTABLE
        else:
            comparator.jensen_shannon_divergence.threshold = NOTABLE
    found = tfdv.validate_statistics(now, asking, previous_statistics=before)
    return {
        name: Distance(_MEASURES[measured.type], measured.value, measured.value > NOTABLE)
        for info in found.drift_skew_info
        if (name := ".".join(info.path.step)) not in NEARLY_DISTINCT
        for measured in info.drift_measurements
        if measured.type in _MEASURES
    }

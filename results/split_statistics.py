"""TFDV's statistics of a split, as StatisticsGen leaves them."""

from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME


def load(split_uri: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Reads the statistics of one split of an `ExampleStatistics` artifact.

    Raises:
      FileNotFoundError: they are not there.
    """
    content = (Path(split_uri) / DEFAULT_FILE_NAME).read_bytes()
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(content)

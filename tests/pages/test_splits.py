"""The statistics of a split, as both pages read them."""

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME

from pages.splits import Feature, Numbers, read_split


@pytest.fixture
def folder(tmp_path):
    """A split of ten pairs with a text and a number, one named by a path and one by its name."""
    made = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = made.datasets.add(num_examples=10)
    year = dataset.features.add(name="year")
    numbers = year.num_stats
    numbers.common_stats.num_missing, numbers.common_stats.tot_num_values = 1, 9
    numbers.min, numbers.mean, numbers.median, numbers.max = 1, 2.5, 3, 4
    quantiles = numbers.histograms.add(type=statistics_pb2.Histogram.QUANTILES)
    quantiles.buckets.add(sample_count=5)
    standard = numbers.histograms.add(type=statistics_pb2.Histogram.STANDARD)
    for count in (2, 0, 7):
        standard.buckets.add(sample_count=count)
    color = dataset.features.add()
    color.path.step.append("color")
    texts = color.string_stats
    texts.common_stats.tot_num_values, texts.unique, texts.avg_length = 10, 2, 3.5
    for label, count in {"red": 7, "blue": 3}.items():
        texts.rank_histogram.buckets.add(label=label, sample_count=count)
    (tmp_path / DEFAULT_FILE_NAME).write_bytes(made.SerializeToString())
    return tmp_path


def test_a_split_is_read_feature_by_feature(folder):
    split = read_split(str(folder))
    assert split.examples == 10
    assert dict(split.features) == {
        "color": Feature(0, 10, 2, None, 3.5, (("red", 7), ("blue", 3)), ()),
        "year": Feature(1, 9, None, Numbers(1, 2.5, 3, 4), None, (), (2, 0, 7)),
    }
    assert list(split.features) == ["color", "year"]
    assert split.statistics.datasets[0].num_examples == 10


def test_a_split_without_statistics_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=DEFAULT_FILE_NAME):
        read_split(str(tmp_path))

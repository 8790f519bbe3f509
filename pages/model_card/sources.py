"""Reads what the card tells of model, data and training from the artifacts' files."""

import math
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import tensorflow as tf
from tensorflow.core.util import event_pb2
from tensorflow_metadata.proto.v0 import statistics_pb2

from core import features
from results import split_statistics

_MOST_VALUES = 12
_LIBRARIES = (
    "tensorflow",
    "keras",
    "tfx",
    "tensorflow-transform",
    "tensorflow-data-validation",
    "tensorflow-model-analysis",
    "apache-beam",
    "numpy",
)


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


def split(name: str, uri: str) -> Split:
    """Reads the statistics of a split of an `ExampleStatistics` artifact."""
    found = split_statistics.load(uri).datasets[0]
    by_name = {
        each.name or each.path.step[0]: each
        for each in found.features  # TFDV names a feature by a path of one step.
    }

    def distinct(feature: str) -> int:
        return by_name[feature].string_stats.unique if feature in by_name else 0

    kinds = by_name[features.PAIR_KIND].string_stats.rank_histogram.buckets
    return Split(
        name=name,
        pairs=found.num_examples,
        kinds={bucket.label: round(bucket.sample_count) for bucket in kinds},
        images=distinct(features.IMAGE),
        groups=distinct(features.GROUP),
        captions=distinct(features.CAPTION),
        columns=tuple(
            _column(feature, statistics)
            for feature, statistics in sorted(by_name.items())
            if feature not in features.RESERVED
        ),
    )


def _column(name: str, found: statistics_pb2.FeatureNameStatistics) -> Column:
    kind = found.WhichOneof("stats")
    statistics = getattr(found, kind)
    missing = statistics.common_stats.num_missing
    if kind == "num_stats":
        text = f"{statistics.min:g} to {statistics.max:g}, median {statistics.median:g}"
        return Column(name, text, missing)
    values = statistics.rank_histogram.buckets[:_MOST_VALUES]
    shown = ", ".join(f"{bucket.label} {bucket.sample_count:,.0f}" for bucket in values)
    more = statistics.unique - len(values)
    return Column(name, shown + (f" and {more:,} more" if more > 0 else ""), missing)


def parameters(model: str) -> int:
    """Number of weights in a SavedModel, batch statistics included."""
    variables = tf.train.list_variables(f"{model}/variables/variables")
    return sum(math.prod(shape) for name, shape in variables if name.endswith("VARIABLE_VALUE"))


def size_mb(folder: str) -> float:
    """What a folder takes on disk, in MB."""
    return sum(each.stat().st_size for each in Path(folder).rglob("*") if each.is_file()) / 1e6


@dataclass(frozen=True)
class Curve:
    """A figure over the training.

    Attributes:
      name: "<folder>: <tag>".
      first: its first value.
      last: its last value.
      steps: how many values there are.
    """

    name: str
    first: float
    last: float
    steps: int


@dataclass(frozen=True)
class Point:
    """A value in a TensorBoard log.

    Attributes:
      step: the epoch, from 1.
      value: the figure.
      wall_time: seconds since 1970.
    """

    step: int
    value: float
    wall_time: float


def curves(model_run: str) -> list[Curve]:
    """The scalars of TensorBoard logs, summed up; none if there are no logs."""
    return [
        Curve(name, points[0].value, points[-1].value, len(points))
        for name, points in scalars(model_run).items()
    ]


def scalars(model_run: str) -> dict[str, list[Point]]:
    """Reads the scalars of TensorBoard logs by "<folder>: <tag>"; none if there are no logs."""
    root = Path(model_run)
    found: dict[str, list[Point]] = {}
    for path in sorted(root.rglob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    # Keras' callback writes so, and counts epochs from 0.
                    tag = value.tag.removeprefix("epoch_")
                    epoch = event.step + (tag != value.tag)
                    name = f"{path.parent.relative_to(root).as_posix()}: {tag}"
                    figure = float(tf.make_ndarray(value.tensor))
                    found.setdefault(name, []).append(Point(epoch, figure, event.wall_time))
    return dict(sorted(found.items()))


def libraries() -> dict[str, str]:
    """The versions of the libraries that a model depends on, by name."""
    return {name: metadata.version(name) for name in _LIBRARIES}

"""The TensorBoard logs of a training."""

from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from tensorflow.core.util import event_pb2


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


def read_scalars(model_run: str) -> dict[str, list[Point]]:
    """Reads the scalars of TensorBoard logs by "<folder>: <tag>"; none if there are no logs.

    Args:
      model_run: folder of a `ModelRun` artifact, with logs below it.
    """
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

"""What the card tells of the training: how each figure began and ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pages.training_logs import Point


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


def summarize_curves(scalars: Mapping[str, Sequence[Point]]) -> list[Curve]:
    """Sums up each figure of `pages.training_logs.read_scalars`."""
    return [
        Curve(name, points[0].value, points[-1].value, len(points))
        for name, points in scalars.items()
    ]

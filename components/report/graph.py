"""Lays out components and artifacts in layers, from what is read to what is made of it.

A simple form of Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System
Structures", 1981: layers by the longest path, order within them by the mean of the neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.metadata import Run

WIDTH, HEIGHT = 148, 38
"""Of a box, in pixels."""
_GAP_X, _GAP_Y = 14, 30
_SWEEPS = 6


@dataclass(frozen=True)
class Box:
    """A component or an artifact.

    Attributes:
      title: its name.
      note: what is known of it.
      kind: the component's state, or "artifact".
      x: of its left edge, in pixels.
      y: of its upper edge.
    """

    title: str
    note: str
    kind: str
    x: float
    y: float


@dataclass(frozen=True)
class Edge:
    """From the lower edge of one box to the upper edge of another, in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def path(self) -> str:
        """For SVG."""
        middle = (self.y1 + self.y2) / 2
        return (
            f"M{self.x1:.0f} {self.y1:.0f} C{self.x1:.0f} {middle:.0f} "
            f"{self.x2:.0f} {middle:.0f} {self.x2:.0f} {self.y2:.0f}"
        )


@dataclass(frozen=True)
class Graph:
    """Boxes and edges on a canvas, in pixels."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


def of(run: Run) -> Graph:
    """Draws a run: every component, and every artifact that it read or made."""
    about: dict[str, tuple[str, str, str]] = {}
    links: list[tuple[str, str]] = []
    for execution in run.executions:
        name = f"node {execution.node}"
        told = f"{execution.state}, {execution.seconds:,.1f} s"
        about[name] = (execution.node, told, execution.state)
        links += [(f"artifact {artifact}", name) for artifact, _ in execution.read]
        for output, key in execution.made:
            about[f"artifact {output.id}"] = (output.type, f"{key} #{output.id}", "artifact")
            links.append((name, f"artifact {output.id}"))
    # A run reads what earlier runs made: such as the latest blessed model.
    for source, _ in links:
        about.setdefault(source, ("earlier run's", f"#{source.split()[-1]}", "artifact"))
    links = list(dict.fromkeys(links))
    layers = _layers(list(about), links)
    places = _places(layers, links)
    return Graph(
        width=max((x for x, _ in places.values()), default=0) + WIDTH + 2,
        height=max((y for _, y in places.values()), default=0) + HEIGHT + 2,
        boxes=tuple(Box(*about[name], *places[name]) for name in about),
        edges=tuple(
            Edge(
                places[start][0] + WIDTH / 2,
                places[start][1] + HEIGHT,
                places[end][0] + WIDTH / 2,
                places[end][1],
            )
            for start, end in links
        ),
    )


def _layers(names: Sequence[str], links: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Each name below all that leads to it."""
    before: dict[str, list[str]] = {name: [] for name in names}
    for start, end in links:
        before[end].append(start)
    depth: dict[str, int] = {}

    def fathom(name: str) -> int:
        if name not in depth:
            depth[name] = 0  # A cached artifact may stand on both sides: no endless way round.
            depth[name] = max((fathom(each) + 1 for each in before[name]), default=0)
        return depth[name]

    layers: list[list[str]] = [[] for _ in range(1 + max(map(fathom, names), default=-1))]
    for name in names:
        layers[depth[name]].append(name)
    return layers


def _places(
    layers: Sequence[list[str]], links: Sequence[tuple[str, str]]
) -> Mapping[str, tuple[float, float]]:
    """(x, y) of each name's box: its layer is centred, ordered so that edges seldom cross."""
    near: dict[str, list[str]] = {name: [] for layer in layers for name in layer}
    for start, end in links:
        near[start].append(end)
        near[end].append(start)
    x: dict[str, float] = {}
    for layer in layers:
        _spread(layer, x)
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = {
                name: sum(x[each] for each in near[name]) / len(near[name])
                if near[name]
                else x[name]
                for name in layer
            }
            layer.sort(key=wanted.__getitem__)
            _spread(layer, x)
    left = min(x.values(), default=0)
    return {
        name: (x[name] - left + 1, depth * (HEIGHT + _GAP_Y) + 1)
        for depth, layer in enumerate(layers)
        for name in layer
    }


def _spread(layer: Sequence[str], x: dict[str, float]) -> None:
    step = WIDTH + _GAP_X
    for at, name in enumerate(layer):
        x[name] = (at - (len(layer) - 1) / 2) * step

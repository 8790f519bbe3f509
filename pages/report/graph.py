"""Lays out components and artifacts in layers, from what is read to what is made of it.

After Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System
Structures", 1981: layers by the longest path; what passes through a layer has a place of its own in
it; the order within a layer follows the mean of the neighbours. All that lead away from one box
share one line as far as they go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from results.metadata import Run

WIDTH, HEIGHT = 148, 38
"""Of a box, in pixels."""
_LINE = 6
"""Width that a line takes where it passes through a layer."""
_GAP_X, _GAP_Y = 14, 30
_SWEEPS = 12
_MARGIN = 1


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
class Graph:
    """Boxes, and paths of SVG that join them, on a canvas in pixels."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    paths: tuple[str, ...]


def draw_run(run: Run) -> Graph:
    """Draws a run: every component, what others read of it, and of the last ones what they made."""
    read = {artifact for execution in run.executions for artifact, _ in execution.read}
    about: dict[str, tuple[str, str, str]] = {}
    links: list[tuple[str, str]] = []
    for execution in run.executions:
        name = f"node {execution.node}"
        told = f"{execution.state}, {execution.seconds:,.1f} s"
        about[name] = (execution.node, told, execution.state)
        links += [(f"artifact {artifact}", name) for artifact, _ in execution.read]
        is_last = not any(output.id in read for output, _ in execution.made)
        for output, key in execution.made:
            if is_last or output.id in read:
                about[f"artifact {output.id}"] = (output.type, f"{key} #{output.id}", "artifact")
                links.append((name, f"artifact {output.id}"))
    # A run reads what earlier runs made: such as the latest blessed model.
    for source, _ in links:
        about.setdefault(source, ("of an earlier run", f"#{source.split()[-1]}", "artifact"))
    layout = _Layout(list(about), list(dict.fromkeys(links)))
    return Graph(
        width=layout.width,
        height=layout.height,
        boxes=tuple(Box(*told, *layout.corner(name)) for name, told in about.items()),
        paths=tuple(layout.paths()),
    )


@dataclass
class _Layout:
    """Places for boxes and lines.

    Attributes:
      names: of the boxes.
      links: (from, to) of them.
    """

    names: Sequence[str]
    links: Sequence[tuple[str, str]]
    _x: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._depth = _depths(self.names, self.links)
        self._boxes = set(self.names)
        self._steps = list(dict.fromkeys(self._routed()))
        self._layers: list[list[str]] = [
            [] for _ in range(1 + max(self._depth.values(), default=0))
        ]
        for name in self._depth:
            self._layers[self._depth[name]].append(name)
        self._order()
        ends = [(x - self._half(name), x + self._half(name)) for name, x in self._x.items()]
        self._left = min((left for left, _ in ends), default=0)
        self.width = max((right for _, right in ends), default=0) - self._left + 2 * _MARGIN
        self.height = len(self._layers) * (HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN

    def corner(self, name: str) -> tuple[float, float]:
        """Left and upper edge of a box."""
        return self._middle(name) - WIDTH / 2, self._top(name)

    def paths(self) -> list[str]:
        """SVG for each step of each line, and for where it passes through a layer."""
        made = []
        for start, end in self._steps:
            (x1, y1), (x2, y2) = (
                (self._middle(start), self._top(start) + HEIGHT),
                (self._middle(end), self._top(end)),
            )
            half = (y1 + y2) / 2
            made.append(
                f"M{x1:.0f} {y1:.0f} C{x1:.0f} {half:.0f} {x2:.0f} {half:.0f} {x2:.0f} {y2:.0f}"
            )
        passing = [name for name in self._depth if name not in self._boxes]
        for name in passing:
            made.append(f"M{self._middle(name):.0f} {self._top(name):.0f} v{HEIGHT}")
        return made

    def _routed(self) -> list[tuple[str, str]]:
        """The links in steps from layer to layer; adds the places that they pass through."""
        steps = []
        for start, end in self.links:
            before = start
            for depth in range(self._depth[start] + 1, self._depth[end]):
                passing = f"line {depth} {start}"
                self._depth[passing] = depth
                steps.append((before, passing))
                before = passing
            steps.append((before, end))
        return steps

    def _order(self) -> None:
        near: dict[str, list[str]] = {name: [] for name in self._depth}
        for start, end in self._steps:
            near[start].append(end)
            near[end].append(start)
        for layer in self._layers:
            self._spread(layer)
        for sweep in range(_SWEEPS):
            for layer in self._layers if sweep % 2 == 0 else reversed(self._layers):
                wanted = {
                    name: sum(self._x[each] for each in near[name]) / len(near[name])
                    if near[name]
                    else self._x[name]
                    for name in layer
                }
                layer.sort(key=wanted.__getitem__)
                self._spread(layer)

    def _spread(self, layer: Sequence[str]) -> None:
        """Sets the places of a layer beside each other, around the middle."""
        at = -sum(2 * self._half(name) + _GAP_X for name in layer) / 2
        for name in layer:
            self._x[name] = at + self._half(name) + _GAP_X / 2
            at += 2 * self._half(name) + _GAP_X

    def _half(self, name: str) -> float:
        return (WIDTH if name in self._boxes else _LINE) / 2

    def _middle(self, name: str) -> float:
        return self._x[name] - self._left + _MARGIN

    def _top(self, name: str) -> float:
        return float(self._depth[name] * (HEIGHT + _GAP_Y) + _MARGIN)


def _depths(names: Sequence[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Each name below all that leads to it."""
    before: Mapping[str, list[str]] = {name: [] for name in names}
    for start, end in links:
        before[end].append(start)
    depth: dict[str, int] = {}

    def depth_of(name: str) -> int:
        if name not in depth:
            depth[name] = 0  # Should a link lead back, there is no endless way round.
            depth[name] = max((depth_of(each) + 1 for each in before[name]), default=0)
        return depth[name]

    for name in names:
        depth_of(name)
    return depth

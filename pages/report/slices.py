"""Every metric by every slice, with how far each figure is from the one overall."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from core.metrics import COMPARED, LOWER_IS_BETTER, gain
from core.slices import CROSS, OVERALL, OWN_COLUMNS
from pages.report.verdict import Change, change
from results.evaluation import Evaluation, figure_names
from results.thresholds import MISSED, NOT_JUDGED, Judged

FULL_COLOUR = 0.25
"""A figure so much worse or better than the one overall has the full colour."""


@dataclass(frozen=True)
class Cell:
    """A figure of a slice, beside the baseline's.

    Attributes:
      value: None if the slice has none.
      interval: the bounds of its 95 % confidence interval, if there is one.
      change: from the other model's, if there is one.
      distance: from the figure overall, -1 much worse to 1 much better; 0 too where neither is
        better.
      bounds: the thresholds on it that were judged.
    """

    value: float | None
    interval: tuple[float, float] | None
    change: Change | None
    distance: float
    bounds: tuple[Judged, ...]

    @property
    def is_missed(self) -> bool:
        """Whether a threshold on it is missed."""
        return any(each.state == MISSED for each in self.bounds)


@dataclass(frozen=True)
class Row:
    """A slice with its figures.

    Attributes:
      name: as the summary and thresholds have it.
      column: the columns that make it; empty for overall.
      pairs: how many.
      is_small: whether it has so few pairs that chance may have made its figures.
      cells: one for each metric.
    """

    name: str
    column: str
    pairs: int
    is_small: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Slices:
    """The section with every metric on every slice.

    Attributes:
      metrics: their names, the most asked-for first.
      rows: overall first, then by name.
      parts: for each row its (column, value) pairs.
      few: a slice with fewer pairs is small.
      lower_is_better: metrics of which less is better.
      comparable: metrics that can be better or worse.
      baseline: what the baseline is, in words; empty if there is none.
    """

    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    parts: tuple[tuple[tuple[str, str], ...], ...]
    few: int
    lower_is_better: tuple[str, ...]
    comparable: tuple[str, ...]
    baseline: str

    @property
    def single_columns(self) -> list[str]:
        """The columns that any slice is made by, each once, those of our own making last."""
        names = dict.fromkeys(column for parts in self.parts for column, _ in parts)
        return sorted(names, key=OWN_COLUMNS.__contains__)

    @property
    def columns(self) -> list[str]:
        """What makes the slices, each once."""
        return list(dict.fromkeys(row.column for row in self.rows if row.column))


def gather(
    found: Evaluation,
    bounds: Sequence[Judged],
    few: int,
    other: Evaluation | None,
    baseline_name: str,
) -> Slices:
    """Sets the figures side by side.

    Args:
      found: the Evaluator's findings.
      bounds: the thresholds as they were judged.
      few: `evaluator.min_slice_pairs`.
      other: the evaluation to compare with; None for the Evaluator's own baseline.
      baseline_name: what it is, in words.
    """
    metrics = tuple(figure_names(found.slices))
    judged: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for bound in bounds:
        if bound.state != NOT_JUDGED:
            judged[bound.slice, bound.metric].append(bound)
    overall = next((each.figures for each in found.slices if each.name == OVERALL), {})
    rows = tuple(
        Row(
            name=each.name,
            column=CROSS.join(column for column, _ in each.parts),
            pairs=each.examples,
            is_small=each.examples < few,
            cells=tuple(
                Cell(
                    value=each.figures.get(metric),
                    interval=each.intervals.get(metric),
                    change=change(each, metric, other),
                    distance=distance(metric, each.figures.get(metric), overall.get(metric)),
                    bounds=tuple(judged[each.name, metric]),
                )
                for metric in metrics
            ),
        )
        for each in found.slices
    )
    return Slices(
        metrics=metrics,
        rows=rows,
        parts=tuple(each.parts for each in found.slices),
        few=few,
        lower_is_better=tuple(name for name in metrics if name in LOWER_IS_BETTER),
        comparable=tuple(name for name in metrics if name in COMPARED),
        baseline=baseline_name if any(cell.change for row in rows for cell in row.cells) else "",
    )


def distance(metric: str, value: float | None, overall: float | None) -> float:
    """How far a figure is from the one overall, -1 much worse to 1 much better."""
    if value is None or overall is None:
        return 0.0
    better = gain(metric, value - overall) or 0.0
    return max(-1.0, min(1.0, better / FULL_COLOUR))

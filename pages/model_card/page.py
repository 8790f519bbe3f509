"""The page: its parts, and the template that puts them together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.config import Threshold
from core.features import AGAINST, CROSS, OVERALL, PAIR_KIND
from core.html import template_environment
from pages.model_card.data import Split
from pages.model_card.training import Curve
from results.evaluation import Evaluation, SliceFigures
from results.retrieval import CUTOFFS, Retrieval

TEMPLATE = "model_card.html.j2"

_FIRST_FIGURES = ("auc", "auc_pr", "accuracy", "precision", "recall")
"""What people look for first; further metrics follow by name."""
_NO_FIGURES = ("example_count", "mean_label")
_ASKED = {
    "min": "at least {:g}",
    "max": "at most {:g}",
    "max_drop": "at most {:g} below the latest blessed model",
    "max_rise": "at most {:g} above the latest blessed model",
}
_OWN = {OVERALL: "Overall", AGAINST: "By kind of negative", PAIR_KIND: "By kind of pair"}


@dataclass(frozen=True)
class Row:
    """A row of the table of figures.

    Attributes:
      name: of the slice, without its column.
      pairs: number of pairs.
      is_small: so few that chance may have made the figures.
      cells: (value, confidence interval) of each figure; empty where there is none.
    """

    name: str
    pairs: int
    is_small: bool
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bound:
    """A threshold and what was measured.

    Attributes:
      name: metric and slice.
      asked: what is asked for, in words.
      measured: the figure; empty if there is none, or one for each of several slices.
    """

    name: str
    asked: str
    measured: str


@dataclass(frozen=True)
class Card:
    """All that the page tells.

    Attributes:
      name: of the model.
      is_blessed: whether every threshold holds.
      version: under which it was pushed; empty if it was not.
      details: (what, value) of the model.
      libraries: (name, version).
      owner: who answers for it, licence, intended use: (what, text).
      limits: what the user says of the limits.
      dataset: name of the data set.
      splits: what the data hold.
      warnings: what the components found worth knowing.
      recipe: section to (key, value).
      curves: how the training went.
      evaluation: the Evaluator's findings.
      bounds: the thresholds.
      few: a slice with fewer pairs is small.
      threshold: probability from which a pair counts as a match.
      retrieval: RetrievalEvaluator's findings.
      written: when, in words.
    """

    name: str
    is_blessed: bool
    version: str
    details: Sequence[tuple[str, str]]
    libraries: Sequence[tuple[str, str]]
    owner: Sequence[tuple[str, str]]
    limits: Sequence[str]
    dataset: str
    splits: Sequence[Split]
    warnings: Sequence[str]
    recipe: Mapping[str, Mapping[str, Any]]
    curves: Sequence[Curve]
    evaluation: Evaluation
    bounds: Sequence[Bound]
    few: int
    threshold: float
    retrieval: Retrieval
    written: str


def render_card(card: Card) -> str:
    """The card as one HTML page that needs no other file."""
    environment = template_environment("pages.model_card")
    figures = figure_names(card.evaluation.slices)
    return environment.get_template(TEMPLATE).render(
        card=card,
        test=card.splits[-1] if card.splits else None,
        figures=[name.replace("_", " ") for name in figures],
        tables=tables(card.evaluation.slices, figures, card.few),
        worst=card.evaluation.worst(card.few),
        cutoffs=CUTOFFS,
    )


def figure_names(slices: Iterable[SliceFigures]) -> list[str]:
    """The metrics that any slice has a value for, the most asked-for first."""
    found = {name for each in slices for name in each.figures if name not in _NO_FIGURES}
    first = [name for name in _FIRST_FIGURES if name in found]
    return first + sorted(found.difference(first))


def tables(
    slices: Iterable[SliceFigures], figures: Sequence[str], few: int
) -> dict[str, list[Row]]:
    """The figures by title: overall, by kind of negative, by each metadata column."""
    made: dict[str, list[Row]] = {title: [] for title in _OWN.values()}
    for each in slices:
        columns = CROSS.join(column for column, _ in each.parts)
        title = _OWN.get(columns or OVERALL) or f"By {columns}"
        made.setdefault(title, []).append(
            Row(
                name=CROSS.join(value for _, value in each.parts) or OVERALL,
                pairs=each.examples,
                is_small=each.examples < few,
                cells=tuple(_cell(each, name) for name in figures),
            )
        )
    return {title: rows for title, rows in made.items() if rows}


def _cell(each: SliceFigures, name: str) -> tuple[str, str]:
    value = each.figures.get(name)
    if value is None:
        return "", ""
    low_high = each.intervals.get(name)
    interval = f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else ""
    return f"{value:.3f}", interval


def bounds(blessing: Iterable[Threshold], evaluation: Evaluation) -> list[Bound]:
    """Each threshold of the configuration beside what was measured."""
    made = []
    for each in blessing:
        found = evaluation.slice(each.slice)
        value = found.figures.get(each.metric) if found else None
        asked = [
            _ASKED[name].format(bound)
            for name, bound in each.model_dump(
                exclude={"metric", "slice"}, exclude_none=True
            ).items()
        ]
        made.append(
            Bound(
                name=f"{each.metric} on {each.slice}",
                asked=", ".join(asked),
                measured="" if value is None else f"{value:.4f}",
            )
        )
    return made

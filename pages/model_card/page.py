"""The page: its parts, and the template that puts them together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.config import Threshold
from core.features import AGAINST, PAIR_KIND
from core.html import template_environment
from core.metrics import AUC
from core.slices import AGAINST_HARD, AGAINST_RANDOM, CROSS, OVERALL
from pages.model_card.data import Split
from pages.model_card.training import Curve
from results.evaluation import Evaluation, SliceFigures, figure_names
from results.retrieval import CUTOFFS, Retrieval
from results.thresholds import MISSED, NOT_JUDGED, Judged, judge

TEMPLATE = "model_card.html.j2"

_HEADLINE = {
    AGAINST_RANDOM: "AUC against random negatives",
    AGAINST_HARD: "AUC against nearly right captions",
    OVERALL: "AUC overall",
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
      measured: the figure, of several slices that with the least margin; empty if there is none.
      note: which slice that is, on how many the threshold holds, or why it was not judged.
    """

    name: str
    asked: str
    measured: str
    note: str = ""


@dataclass(frozen=True)
class Card:
    """The whole model card, ready to be rendered.

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
        headline=_headline(card.evaluation),
        worst=card.evaluation.worst(card.few),
        auc=AUC,
        cutoffs=CUTOFFS,
    )


def _headline(found: Evaluation) -> list[tuple[str, str]]:
    """(figure, title) of what people look at first."""
    slices = ((found.slice(name), title) for name, title in _HEADLINE.items())
    return [
        (each.shown(AUC, interval=False), title)
        for each, title in slices
        if each and AUC in each.figures
    ]


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


def bounds(blessing: Iterable[Threshold], found: Evaluation) -> list[Bound]:
    """Each threshold of the configuration beside what was measured."""
    return [_bound(each, list(judge(each, found))) for each in blessing]


def _bound(threshold: Threshold, judged: Sequence[Judged]) -> Bound:
    least = min(
        (each for each in judged if each.margin is not None),
        key=lambda each: each.margin or 0.0,
        default=None,
    )
    shown = judged[0] if threshold.is_on_one_slice else least
    return Bound(
        name=f"{threshold.metric} on {threshold.slice}",
        asked=", ".join(dict.fromkeys(each.asked for each in judged)),
        measured="" if shown is None or shown.value is None else f"{shown.value:.4f}",
        note=_note(threshold, judged, least),
    )


def _note(threshold: Threshold, judged: Sequence[Judged], least: Judged | None) -> str:
    reasons = {each.reason for each in judged}
    if all(each.state == NOT_JUDGED for each in judged) and len(reasons) == 1:
        return f"not judged: {reasons.pop()}"
    if threshold.is_on_one_slice:
        return ""
    by_slice: dict[str, set[str]] = defaultdict(set)
    for each in judged:
        by_slice[each.slice].add(each.state)
    missed = sum(MISSED in states for states in by_slice.values())
    unjudged = sum(states == {NOT_JUDGED} for states in by_slice.values())
    known = len(by_slice) - unjudged
    return "; ".join(
        [
            *([f"least margin on {least.slice}"] if least else []),
            *([f"holds on {known - missed} of {known} slices"] if known else []),
            *([f"not judged on {unjudged}"] if unjudged else []),
        ]
    )

"""Whether to trust the model: thresholds with value, bound and margin, and what changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.metrics import AUC, COMPARED
from core.slices import KEY_SLICES
from pages import sources
from pages.sources import Sources
from results import comparison, serving_report
from results.evaluation import Evaluation, SliceFigures
from results.serving_report import ServingReport
from results.thresholds import HOLDS, MISSED, NOT_JUDGED, Judged, judge


@dataclass(frozen=True)
class Change:
    """A figure beside that of another model.

    Attributes:
      metric: its name.
      slice: the slice's name.
      value: the candidate's.
      interval: its 95 % confidence interval, if there is one.
      baseline: the other model's.
      change_interval: the difference's 95 % confidence interval, if there is one. Against the
        Evaluator's baseline it is TFMA's, which resamples the same pairs for both models; against
        another run's figures see `comparison.difference_interval`.
      is_better: whether the candidate's is better; None if they are equal, or if neither more nor
        less of the metric is better.
    """

    metric: str
    slice: str
    value: float
    interval: tuple[float, float] | None
    baseline: float
    change_interval: tuple[float, float] | None
    is_better: bool | None

    @property
    def is_clear(self) -> bool | None:
        """Whether the change is larger than chance makes it; None where that is not known."""
        return comparison.is_clear(self.change_interval)


@dataclass(frozen=True)
class Verdict:
    """The section on whether to trust the model.

    Attributes:
      is_blessed: whether every threshold holds.
      is_infra_blessed: whether a model server served it well; None if none was tried.
      version: under which the model was pushed; empty if it was not.
      served: what was found when it was served.
      bounds: the missed ones first, then those with the least margin.
      failures: what TFMA says of what was missed.
      changes: against the baseline.
      baseline: what the baseline is, in words; empty if there is none.
      headline: (what, value) of what people look at first.
      warnings: what components found worth knowing: (component, text).
    """

    is_blessed: bool
    is_infra_blessed: bool | None
    version: str
    served: ServingReport | None
    bounds: tuple[Judged, ...]
    failures: tuple[str, ...]
    changes: tuple[Change, ...]
    baseline: str
    headline: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]


def gather(of: Sources, baseline: Evaluation | None, baseline_name: str) -> Verdict:
    """Reads what the judges found.

    Args:
      of: the run.
      baseline: another run's evaluation to compare with; None for the Evaluator's own baseline.
      baseline_name: what it is, in words.
    """
    found = of.evaluation
    infra = of.artifacts.get(sources.INFRA_BLESSING)
    changes = tuple(_changes(found, baseline))
    judged = [each for threshold in of.evaluator.blessing for each in judge(threshold, found)]
    return Verdict(
        is_blessed=of.is_blessed,
        is_infra_blessed=bool(infra.properties.get("blessed")) if infra else None,
        version=of.pushed_version,
        served=serving_report.load(infra.uri) if infra else None,
        bounds=tuple(sorted(judged, key=_urgency)),
        failures=tuple(f"{each.metric} on {each.slice} {each.reason}" for each in found.failures),
        changes=changes,
        baseline=baseline_name if changes else "",
        headline=tuple(
            (f"AUC, {name}", f"{figures.figures[AUC]:.3f}")
            for name in KEY_SLICES
            if (figures := found.slice(name)) and AUC in figures.figures
        ),
        warnings=tuple(of.run.warnings) if of.run else (),
    )


def _urgency(each: Judged) -> tuple[int, float]:
    order = (MISSED, HOLDS, NOT_JUDGED).index(each.state)
    return order, each.margin if each.margin is not None else 0.0


def _changes(found: Evaluation, other: Evaluation | None) -> Iterator[Change]:
    for name in KEY_SLICES:
        own = found.slice(name)
        if own is not None:
            made = (change(own, metric, other) for metric in COMPARED)
            yield from (each for each in made if each is not None)


def change(own: SliceFigures, metric: str, other: Evaluation | None) -> Change | None:
    """A figure of a slice beside the baseline's; None if one of the two is missing.

    Args:
      own: the candidate's figures of the slice.
      metric: its name.
      other: another run's evaluation; None for the Evaluator's own baseline.
    """
    theirs = other.slice(own.name) if other else None
    baselines = own.baseline if other is None else theirs.figures if theirs else {}
    if metric not in own.figures or metric not in baselines:
        return None
    value, baseline = own.figures[metric], baselines[metric]
    return Change(
        metric=metric,
        slice=own.name,
        value=value,
        interval=own.intervals.get(metric),
        baseline=baseline,
        change_interval=comparison.difference_interval(metric, theirs, own)
        if theirs
        else own.changes.get(metric),
        is_better=comparison.is_better(metric, value - baseline),
    )

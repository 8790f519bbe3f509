"""Whether to trust the model: thresholds with value, bound and margin, and what changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from core.config import EVERY, EVERY_SLICE, LOWER_IS_BETTER, Threshold
from core.features import AGAINST, KEY_SLICES, OVERALL, PAIR_KIND
from pages import sources
from pages.sources import Sources
from results import comparison, serving_report
from results.comparison import METRICS
from results.evaluation import Evaluation, SliceFigures
from results.serving_report import ServingReport

HOLDS, MISSED, NOT_JUDGED = "holds", "missed", "not judged"


@dataclass(frozen=True)
class Judged:
    """A bound on one slice.

    Attributes:
      metric: its name.
      slice: the slice's name.
      asked: what is asked for, in words.
      value: what was measured; None if it could not be.
      bound: the figure that the value is held against.
      margin: by how much the bound holds; negative if it is missed, None if it was not judged.
      state: `HOLDS`, `MISSED` or `NOT_JUDGED`.
      reason: why it was not judged; empty if it was.
    """

    metric: str
    slice: str
    asked: str
    value: float | None
    bound: float | None
    margin: float | None
    state: str
    reason: str = ""


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
    """What the page tells.

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
            (f"AUC, {name}", f"{figures.figures['auc']:.3f}")
            for name in KEY_SLICES
            if (figures := found.slice(name)) and "auc" in figures.figures
        ),
        warnings=tuple(of.run.warnings) if of.run else (),
    )


def judge(threshold: Threshold, found: Evaluation) -> Iterator[Judged]:
    """A threshold on each slice that it bounds."""
    unjudged = {(each.metric, each.slice): each.reason for each in found.unjudged}
    missed = {(each.metric, each.slice) for each in found.failures}
    slices = [each for each in found.slices if _bounds(threshold, each)]
    if not slices:
        yield Judged(
            threshold.metric, threshold.slice, "", None, None, None, MISSED, "has no pairs"
        )
    for each in slices:
        value = each.figures.get(threshold.metric)
        before = each.baseline.get(threshold.metric)
        key = (threshold.metric, each.name)
        for asked, bound in _asked(threshold, before):
            reason = unjudged.get(key, "")
            margin = None
            if value is not None and bound is not None:
                is_upper = threshold.metric in LOWER_IS_BETTER
                margin = bound - value if is_upper else value - bound
            if bound is None:
                reason = reason or "there is no baseline to compare with"
            if reason:
                state = NOT_JUDGED
            elif margin is None:
                state = MISSED if key in missed else NOT_JUDGED
                reason = "could not be computed"
            else:
                # TFMA compares in single precision, so its word goes where a hair decides.
                is_missed = key in missed if abs(margin) < 1e-6 else margin < 0
                state = MISSED if is_missed else HOLDS
            judged = None if reason else margin
            yield Judged(threshold.metric, each.name, asked, value, bound, judged, state, reason)


def _bounds(threshold: Threshold, each: SliceFigures) -> bool:
    """Whether a threshold is meant for a slice."""
    if threshold.slice == OVERALL:
        return each.name == OVERALL
    if threshold.slice == EVERY_SLICE:
        columns = {column for column, _ in each.parts}
        return each.name != OVERALL and not columns & {AGAINST, PAIR_KIND}
    asked, parts = dict(threshold.parts), dict(each.parts)
    return asked.keys() == parts.keys() and all(
        value in (EVERY, parts[column]) for column, value in asked.items()
    )


def _asked(threshold: Threshold, before: float | None) -> Iterator[tuple[str, float | None]]:
    if threshold.min is not None:
        yield f"at least {threshold.min:g}", threshold.min
    if threshold.max is not None:
        yield f"at most {threshold.max:g}", threshold.max
    if threshold.max_drop is not None:
        bound = None if before is None else before - threshold.max_drop
        yield f"at most {threshold.max_drop:g} below the baseline", bound
    if threshold.max_rise is not None:
        bound = None if before is None else before + threshold.max_rise
        yield f"at most {threshold.max_rise:g} above the baseline", bound


def _urgency(each: Judged) -> tuple[int, float]:
    order = (MISSED, HOLDS, NOT_JUDGED).index(each.state)
    return order, each.margin if each.margin is not None else 0.0


def _changes(found: Evaluation, other: Evaluation | None) -> Iterator[Change]:
    for name in KEY_SLICES:
        own = found.slice(name)
        if own is not None:
            made = (change(own, metric, other) for metric in METRICS)
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
        is_better=comparison.is_better(metric, value - baseline) if metric in METRICS else None,
    )

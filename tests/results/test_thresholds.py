"""Thresholds beside what was found, slice by slice."""

import pytest

from core.config import Threshold
from core.slices import parts_of
from results.evaluation import Evaluation, Failure, SliceFigures, Unjudged
from results.thresholds import HOLDS, MISSED, NOT_JUDGED, judge


def figures(name="overall", baseline=None, **values):
    return SliceFigures(name, values, baseline=baseline or {}, parts=parts_of(name))


def judged(found, **threshold):
    return list(judge(Threshold(**threshold), found))


def test_a_bound_is_told_with_its_margin():
    found = Evaluation((figures(auc=0.75, ece=0.125, baseline={"auc": 0.875}),), ())
    (holds,) = judged(found, metric="auc", min=0.5)
    assert (holds.margin, holds.state, holds.asked) == (0.25, HOLDS, "at least 0.5")
    (missed,) = judged(found, metric="ece", max=0.1)
    assert missed.margin == pytest.approx(-0.025)
    assert missed.state == MISSED
    drop = judged(found, metric="auc", min=0.5, max_drop=0.0625)[1]
    assert (drop.bound, drop.margin, drop.state) == (0.8125, -0.0625, MISSED)


def test_a_bound_on_every_slice_is_told_slice_by_slice():
    names = ("overall", "color:red", "color:red × size:big", "against:hard", "pair_kind:hard")
    found = Evaluation(tuple(figures(name, auc=0.5) for name in names), ())
    every = judged(found, metric="auc", slice="*:*", min=0.25)
    assert [each.slice for each in every] == ["color:red", "color:red × size:big"]
    of_column = judged(found, metric="auc", slice="color:*", min=0.25)
    assert [each.slice for each in of_column] == ["color:red"]
    of_cross = judged(found, metric="auc", slice="color:* × size:big", min=0.25)
    assert [each.slice for each in of_cross] == ["color:red × size:big"]


def test_what_was_not_judged_is_told_as_such():
    found = Evaluation((figures(auc=0.5),), ())
    (no_baseline,) = judged(found, metric="auc", max_drop=0.1)
    assert (no_baseline.state, no_baseline.margin) == (NOT_JUDGED, None)
    (no_slice,) = judged(found, metric="auc", slice="color:red", min=0.1)
    assert (no_slice.state, no_slice.reason) == (MISSED, "has no pairs")


def test_tfma_has_the_last_word_where_a_hair_decides():
    failure = Failure("auc", "overall", "is less")
    for failures, state in (((failure,), MISSED), ((), HOLDS)):
        found = Evaluation((figures(auc=0.5 - 1e-8),), failures)
        assert judged(found, metric="auc", min=0.5)[0].state == state


def test_a_cross_with_a_kind_of_negative_is_a_slice_by_metadata():
    """The Evaluator judges it, so it is told."""
    names = ("against:hard × color:red", "against:hard × pair_kind:hard", "against:hard")
    found = Evaluation(tuple(figures(name, auc=0.5) for name in names), ())
    every = judged(found, metric="auc", slice="*:*", min=0.25)
    assert [each.slice for each in every] == ["against:hard × color:red"]


def test_where_a_column_has_no_value_nothing_is_missed():
    """The Evaluator has nothing to judge then; a slice that is named is a typing error."""
    found = Evaluation((figures(auc=0.5),), ())
    for name in ("color:*", "color:* × size:big"):
        (told,) = judged(found, metric="auc", slice=name, min=0.1)
        assert (told.state, told.reason) == (NOT_JUDGED, "has no pairs")


def test_a_slice_that_was_set_aside_keeps_its_value_and_its_reason():
    small = Unjudged("auc", "color:red", 9, "has 9 pairs", is_named=False)
    found = Evaluation((figures("color:red", auc=0.5),), (), (small,))
    (told,) = judged(found, metric="auc", slice="color:*", min=0.9)
    assert (told.state, told.reason, told.value, told.margin) == (
        NOT_JUDGED,
        "has 9 pairs",
        0.5,
        None,
    )


def test_where_lower_is_better_a_rise_is_held_against_the_baseline():
    found = Evaluation((figures(log_loss=0.5, baseline={"log_loss": 0.25}),), ())
    (told,) = judged(found, metric="log_loss", max_rise=0.125)
    assert (told.bound, told.margin, told.state) == (0.375, -0.125, MISSED)
    assert told.asked == "at most 0.125 above the latest blessed model"

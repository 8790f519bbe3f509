"""Which bounds are judged: what we mean and what TFMA judges is the same."""

import hypothesis
import hypothesis.strategies as st
import pytest
from tensorflow_model_analysis.slicer import slicer_lib as slicer

from components.evaluator import bounds
from components.evaluator.bounds import Count
from core import slices
from core.config import EvaluatorConfig, Threshold
from modules.evaluator import eval_config

pytestmark = pytest.mark.slow

COLUMNS = ("against", "color", "pair_kind", "size")
# What reads as a number, in every way of writing it, and what only looks like one.
TEXTS = st.sampled_from(["red", "1", "1.0", "01", "1.", "-0", "2", "1e3", "1_0", "٣", ".5"])
NUMBERS = st.integers(-3, 3) | st.floats(width=32, allow_nan=False, allow_infinity=False)
VALUES = TEXTS | st.text(st.characters(exclude_characters="*×:"), min_size=1) | NUMBERS
CROSSES = st.sets(st.sampled_from(COLUMNS), min_size=1, max_size=3).map(sorted).map(tuple)


@st.composite
def thresholds(draw, keys):
    """A bound on a single slice, which may well be one of those there are, on each, or on all."""
    if draw(st.booleans()):
        return Threshold(metric="accuracy", slice="*:*", min=0.5)
    columns = draw(CROSSES)
    alike = [key for key in keys if tuple(column for column, _ in key) == columns]
    if alike and draw(st.booleans()):
        parts = draw(st.sampled_from(alike))
    else:
        parts = [(column, draw(VALUES)) for column in columns]
    every = draw(st.sets(st.sampled_from(columns)))
    asked = [(column, "*" if column in every else value) for column, value in parts]
    hypothesis.assume(all(str(value) for _, value in asked))
    return Threshold(metric="accuracy", slice=slices.slice_name(asked), min=0.5)


@st.composite
def sliced(draw):
    """Slices that TFMA may make of metadata, and a threshold."""
    crosses = draw(st.lists(CROSSES, max_size=4))
    keys = {
        tuple((column, draw(VALUES)) for column in columns)
        for columns in crosses
        for _ in range(draw(st.integers(1, 3)))
    }
    return {(), *keys}, draw(thresholds(sorted(keys, key=str)))


def configured(keys, threshold):
    settings = EvaluatorConfig(
        slice_columns=COLUMNS,
        slice_crosses=sorted({tuple(c for c, _ in key) for key in keys if len(key) > 1}),
        blessing=(threshold,),
    )
    return eval_config(settings, COLUMNS)


def judged(config, keys):
    """The slices that TFMA holds to a bound."""
    specs = [
        slicer.SingleSliceSpec(spec=spec)
        for metric in config.metrics_specs[0].metrics
        for bound in metric.per_slice_thresholds
        for spec in bound.slicing_specs
    ]
    return {key for key in keys if any(spec.is_slice_applicable(key) for spec in specs)}


@hypothesis.given(sliced())
@hypothesis.settings(max_examples=300)
def test_tfma_judges_the_slices_that_a_threshold_means(given):
    keys, threshold = given
    meant = {key for key in keys if threshold.is_on(key)}
    config = configured(keys, threshold)
    assert judged(config, keys) == meant
    resolved, unjudged = bounds.resolve(config, dict.fromkeys(keys, Count(5, 5)), 10)
    assert judged(resolved, keys) == meant
    assert not unjudged


@hypothesis.given(sliced())
@hypothesis.settings(max_examples=100)
def test_the_pages_read_the_values_as_text_and_mean_the_same(given):
    keys, threshold = given
    for key in keys:
        assert threshold.is_on(key) == threshold.is_on([(c, str(value)) for c, value in key])

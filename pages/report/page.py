"""The page: gathers each part, and renders them into one file that needs no other."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import tensorflow as tf
from markupsafe import Markup

from core import features, reporting
from core.files import plain_name
from core.html import template_environment
from modules.export.scoring import Scorer
from pages import sources
from pages.dates import utc_text
from pages.report import (
    curves,
    data,
    examples,
    inline_data,
    lineage,
    occlusion,
    pairs,
    retrieval,
    slices,
    training,
    verdict,
)
from pages.sources import Sources
from results.retrieval import CUTOFFS

TEMPLATE = "report.html.j2"
_SCRIPTS = (
    "core.js",
    "figures.js",
    "charts.js",
    "slices.js",
    "curves.js",
    "examples.js",
    "start.js",
)
_STYLE = "report.css"
_STEPS = 7
_OCCLUDED = 3
"""Mistakes, and as many of the best matches, for which parts are hidden."""


@dataclass(frozen=True)
class Report:
    """The whole report, ready to be rendered.

    Attributes:
      name: of the model.
      compared: id of the run that figures are compared with; empty for the Evaluator's baseline.
      verdict: whether to trust the model.
      slices: the metrics of each slice.
      curves: the scores.
      examples: pairs to look at.
      occlusions: of a few of them.
      searches: what the search finds.
      data: what the data look like.
      training: how it was trained.
      lineage: what was made from what.
      pictures: key to a small picture as a data URI.
      threshold: probability from which a pair counts as a match.
      written: when, in words.
    """

    name: str
    compared: str
    verdict: verdict.Verdict
    slices: slices.Slices
    curves: curves.Curves
    examples: examples.Examples
    occlusions: tuple[occlusion.Occlusion, ...]
    searches: retrieval.Searches
    data: data.Data
    training: training.Training
    lineage: lineage.Lineage
    pictures: Mapping[str, str]
    threshold: float
    written: str


def gather_report(of: Sources, before: Sources | None, compared: Sources | None) -> Report:
    """Reads and computes all that the page tells.

    Args:
      of: the run.
      before: the run before it, if there is one.
      compared: the run that its figures are to be compared with; None for the model that the
        Evaluator compared with, the latest blessed one.
    """
    other = compared.evaluation if compared else None
    baseline = f"run {compared.run.id}" if compared and compared.run else "the latest blessed model"
    judged = verdict.gather(of, other, baseline)
    table = slices.gather(
        of.evaluation, judged.bounds, of.evaluator.min_slice_pairs, other, baseline
    )
    _report_step("scoring the test split", 1)
    with plain_name(of.saved_model) as name:
        scorer = Scorer.of_saved_model(tf.saved_model.load(name).signatures)
    columns = dict.fromkeys(column for parts in table.parts for column, _ in parts)
    test_split = of.split_uris(sources.EXAMPLES)[features.TEST]
    scored = pairs.read_scored_pairs(test_split, scorer, columns)
    _report_step("choosing examples", 2)
    chosen = examples.choose_examples(scored, table.parts, of.evaluator.threshold)
    searches = retrieval.gather_searches(of, scored, scorer)
    keys = [each.picture for each in chosen.shown]
    for query in (*searches.by_caption, *searches.by_picture):
        keys += [key for key in (query.picture, *(hit.picture for hit in query.hits)) if key]
    contents = scored.load_pictures(keys)
    _report_step("hiding parts of pictures and captions", 3)
    explained = [
        *chosen.foremost(examples.MISTAKES, _OCCLUDED),
        # Of a negative that the model is sure of, nothing counts by itself.
        *chosen.foremost(examples.BEST, _OCCLUDED, is_match=True),
    ]
    hidden = occlusion.occlude_pairs(explained, contents, scorer)
    _report_step("reading statistics", 4)
    found = data.gather_data(of, compared or before)
    _report_step("drawing pictures", 5)
    pictures = {key: inline_data.data_uri(content) for key, content in sorted(contents.items())}
    _report_step("reading logs", 6)
    return Report(
        name=of.name,
        compared=compared.run.id if compared and compared.run else "",
        verdict=judged,
        slices=table,
        curves=curves.Curves(scored, table, of.evaluator.threshold),
        examples=chosen,
        occlusions=hidden,
        searches=searches,
        data=found,
        training=training.gather_training(of),
        lineage=lineage.gather_lineage(of, compared or before),
        pictures=pictures,
        threshold=of.evaluator.threshold,
        written=utc_text(datetime.now(UTC)),
    )


def render_report(report: Report) -> str:
    """The report as one HTML page that needs no other file and no network."""
    environment = template_environment("pages.report", "templates")
    environment.filters["figure"] = _figure
    environment.filters["signed"] = lambda value: "" if value is None else f"{value:+.4f}"
    script = "\n".join(map(_read_asset, _SCRIPTS))
    plotly = (resources.files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8")
    return environment.get_template(TEMPLATE).render(
        report=report,
        cutoffs=CUTOFFS,
        # Of our own making, and so not escaped: the policy allows these two scripts and no other.
        style=Markup(_read_asset(_STYLE)),
        script=Markup(script),
        plotly=Markup(plotly),
        policy=_security_policy((script, plotly)),
        embedded={name: inline_data.as_json(value) for name, value in _payloads(report).items()},
    )


def _payloads(report: Report) -> dict[str, Any]:
    """Element id to what the scripts read from it."""
    return {
        "data-curves": report.curves.payload(),
        "data-slices": _slices_payload(report.slices),
        "data-examples": report.examples.payload(),
        "data-pictures": report.pictures,
        "data-training": report.training.payload(),
        "data-data": report.data.payload(),
    }


def _slices_payload(found: slices.Slices) -> dict[str, Any]:
    return {
        "metrics": found.metrics,
        "columns": found.single_columns,
        "comparable": found.comparable,
        "lowerIsBetter": found.lower_is_better,
        "few": found.few,
        "fullColour": slices.FULL_COLOUR,
        "rows": [
            {
                "name": row.name,
                "column": row.column,
                "pairs": row.pairs,
                "values": [cell.value for cell in row.cells],
                "intervals": [cell.interval for cell in row.cells],
                "baselines": [cell.change.baseline if cell.change else None for cell in row.cells],
            }
            for row in found.rows
        ],
    }


def _security_policy(scripts: Iterable[str]) -> str:
    """A Content-Security-Policy: no network at all, and no script but these."""
    digests = (
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    )
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _read_asset(name: str) -> str:
    return (resources.files("pages.report") / "templates" / name).read_text("utf-8")


def _figure(value: float | None, places: int = 3) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def _report_step(what: str, number: int) -> None:
    reporting.report(what, number, _STEPS)

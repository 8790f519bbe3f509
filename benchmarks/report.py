"""How large the report is, and how long a browser takes until it can be used.

    python -m benchmarks.report --set run.workspace=runs

Opens two pages in headless Chromium, several times each, every time with a new process and an empty
profile: that of the newest run, and the same as it would be with a test split of 10,000 pairs, many
slices and their crosses, and as many pictures as a page ever holds. The pairs, figures and pictures
of the latter are made up; what chooses from them and writes the page is the report's own code.

"Ready" is the time from the start of the navigation until the first page is drawn and can be used:
two frames after its scripts have set up everything, when what they did is on the screen. Of the
page of full size it is asked to be within 2 s, and at most 15 MB. The others
are made when they are first shown: below stands the time from the click on a page's name until all
its charts are drawn. The first of them brings the plotting library to life.
"""

import dataclasses
import io
import itertools
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import typer
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from core import features, terminal
from core.metrics import COMPARED
from core.slices import slice_name
from pages import sources
from pages.report import curves, examples, inline_data, page, slices
from pages.report.pairs import Pairs
from pipeline.commands.run import ConfigOption, SetOption, load_config
from results import run_names
from results.evaluation import Evaluation, SliceFigures
from results.metadata import Metadata
from results.workspace import Workspace

PAIRS = 10_000
READY_S, SIZE_MB = 2, 15
"""What a report of so many pairs may take."""
FULL_SIZE = "full size"
COLUMNS = {
    **dict.fromkeys(("color", "shape", "place", "pattern", "size", "mood", "year"), 8),
    features.CAPTION_LENGTH: 4,
}
"""Metadata columns and their numbers of values: some sixty slices."""
CROSS = ("color", "shape")
TIMES = 5
_SIDE = 256
_GRAIN = 32
"""Of a made-up picture: its side, and that of what it is blown up from, in pixels."""

# Notes when the page can be used; runs before the page's own scripts.
_WATCH = """
window.addEventListener("DOMContentLoaded", () => {
  const root = document.documentElement;
  const note = () => requestAnimationFrame(() => requestAnimationFrame(() => {
    window.readyAt = performance.now();
  }));
  if (root.dataset.ready) note();
  else new MutationObserver(() => root.dataset.ready && note()).observe(root, {attributes: true});
});
"""
_OPENED = """() => {
  const [navigation] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return [navigation.domInteractive, paint?.startTime ?? NaN, window.readyAt];
}"""
_SHOWN = """async (name) => {
  const started = performance.now();
  document.querySelector(`nav a[href="#${name}"]`).click();
  const charts = [...document.querySelectorAll(`#${name} .chart`)];
  const frame = () => new Promise(requestAnimationFrame);
  do await frame();
  while (!charts.every((chart) => chart.querySelector(".main-svg")));
  await frame();
  return performance.now() - started;
}"""


def main(config: ConfigOption = None, set_: SetOption = None) -> None:
    """Measures the newest run's report, and one of full size."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not on the PATH")
    workspace = Workspace.from_config(load_config(config, set_))
    run = run_names.find(Metadata(workspace.metadata).runs(), None, "ModelEvaluation")
    newest = page.gather_report(sources.Sources.of_run(workspace.root.name, run), None, None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for name, report in {f"run {run.id}": newest, FULL_SIZE: enlarged(newest)}.items():
            path = Path(folder, "report.html")
            path.write_text(page.render_report(report), encoding="utf-8")
            opened, shown = [], []
            for _ in range(TIMES):
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox"]
                )
                times, by_page = _open(browser, path)
                opened.append(times)
                shown.append(by_page)
                browser.close()
            _print(name, report, path.stat().st_size, opened, shown)


def _open(browser: Browser, path: Path) -> tuple[list[float], dict[str, float]]:
    """Milliseconds until the DOM is there, until something is drawn, until all can be used; and for
    each further page until it is shown."""
    tab: Page = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.add_init_script(_WATCH)
    tab.goto(path.as_uri())
    tab.wait_for_function("window.readyAt")
    times = tab.evaluate(_OPENED)
    names = [link.get_attribute("href").removeprefix("#") for link in tab.locator("nav a").all()]
    return times, {name: tab.evaluate(_SHOWN, name) for name in names[1:]}


def _print(
    name: str,
    report: page.Report,
    size: int,
    opened: list[list[float]],
    shown: list[dict[str, float]],
) -> None:
    pairs, rows = len(report.curves.pairs.labels), len(report.slices.rows)
    print(
        f"\n{name}: {pairs:,} pairs, {rows} slices, {len(report.pictures)} pictures, "
        f"{size / 1e6:.1f} MB"
    )
    table = terminal.table("milliseconds", "median>", "slowest>")
    labels = ("DOM interactive", "first paint", "ready")
    for label, values in zip(labels, zip(*opened, strict=True), strict=True):
        table.add_row(label, f"{statistics.median(values):.0f}", f"{max(values):.0f}")
    table.add_section()
    for each in shown[0]:
        values = [times[each] for times in shown]
        table.add_row(f"then: {each}", f"{statistics.median(values):.0f}", f"{max(values):.0f}")
    terminal.output.print(table)
    if name == FULL_SIZE:
        ready = statistics.median(times[-1] for times in opened) / 1e3
        print(f"{ready:.2f} s of {READY_S}, {size / 1e6:.1f} MB of {SIZE_MB} for {pairs:,} pairs")


def enlarged(report: page.Report) -> page.Report:
    """The report as it would be with as many pairs, slices and pictures as it is made for."""
    dice = np.random.default_rng(7)
    pairs = _pairs(dice)
    found = Evaluation(tuple(_figures(pairs, parts, dice) for parts in _parts(pairs)), ())
    table = slices.gather(found, (), 50, None, "the latest blessed model")
    chosen = examples.choose_examples(pairs, table.parts, report.threshold)
    keys = {each.picture for each in chosen.shown}
    return dataclasses.replace(
        report,
        slices=table,
        curves=curves.Curves(pairs, table, report.threshold),
        examples=chosen,
        pictures={**report.pictures, **{key: inline_data.data_uri(_picture(dice)) for key in keys}},
    )


def _pairs(dice: np.random.Generator) -> Pairs:
    """A third true ones, each with a picture of its own, as many random ones, as many hard ones."""
    count = PAIRS // 3
    kinds = [features.MATCHED, features.RANDOM, features.HARD] * count
    kinds += [features.HARD] * (PAIRS - len(kinds))
    labels = np.array([kind == features.MATCHED for kind in kinds], np.uint8)
    picture = np.arange(PAIRS) // 3
    words = ["curious", "bubblegum-pink", "feathered", "striped", "friend", "waits", "underground"]
    values = {
        name: [(f"{name} {value}",) for value in dice.integers(0, many, PAIRS)]
        for name, many in COLUMNS.items()
    }
    return Pairs(
        files=[],
        ids=[f"images/{at:05}.png" for at in picture],
        caption_ids=[f"images/{at:05}.png" for at in dice.permutation(picture)],
        kinds=kinds,
        labels=labels,
        scores=np.where(labels, dice.beta(4, 1, PAIRS), dice.beta(1, 4, PAIRS)).astype(np.float32),
        picture=picture,
        caption=np.arange(PAIRS),
        pictures=[f"{at:016x}" for at in range(picture.max() + 1)],
        captions=[f"{' '.join(dice.choice(words, 18))} {at}" for at in range(PAIRS)],
        picture_embeddings=np.zeros((0, 1), np.float32),
        caption_embeddings=np.zeros((0, 1), np.float32),
        columns={
            **values,
            features.PAIR_KIND: [(kind,) for kind in kinds],
        },
        of_pairs=PAIRS,
    )


def _parts(pairs: Pairs) -> Iterator[tuple[tuple[str, str], ...]]:
    """What makes each slice: nothing, a value, two values of the crossed columns."""
    yield ()
    of_column = {
        name: sorted({value for values in column for value in values})
        for name, column in pairs.columns.items()
    }
    for name, values in of_column.items():
        yield from (((name, value),) for value in values)
    for crossed in itertools.product(*(of_column[name] for name in CROSS)):
        yield tuple(zip(CROSS, crossed, strict=True))


def _figures(
    pairs: Pairs, parts: tuple[tuple[str, str], ...], dice: np.random.Generator
) -> SliceFigures:
    """Every metric with its interval and a baseline, so that each cell of the table is full."""
    figures = {metric: float(dice.uniform(0.6, 0.99)) for metric in COMPARED}
    near = {metric: (value - 0.02, value + 0.02) for metric, value in figures.items()}
    return SliceFigures(
        name=slice_name(parts),
        figures={"example_count": float(pairs.members(parts).sum()), "mean_label": 0.3, **figures},
        intervals=near,
        baseline={metric: value - 0.01 for metric, value in figures.items()},
        changes=dict.fromkeys(figures, (-0.01, 0.03)),
        parts=parts,
    )


def _picture(dice: np.random.Generator) -> bytes:
    """Soft shapes with grain, which a JPEG takes as many bytes for as for a photograph."""
    coarse = Image.fromarray(dice.integers(0, 255, (_GRAIN, _GRAIN, 3), np.uint8))
    soft = np.asarray(coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), np.float64)
    file = io.BytesIO()
    noisy = np.clip(soft + dice.normal(0, 8, soft.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(file, "PNG", compress_level=1)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(typer.run(main))

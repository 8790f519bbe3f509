"""`dexmatch slices`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from core import terminal
from core.metrics import AUC, COMPARED, gain
from core.slices import OVERALL
from pipeline.commands.run import ConfigOption, SetOption, load_config
from pipeline.commands.run_argument import OptionalRun
from results import run_names
from results.metadata import Metadata
from results.workspace import Workspace

if TYPE_CHECKING:
    from results.evaluation import Evaluation, SliceFigures

_FEWEST_COLUMNS = 3


def slices(
    run: OptionalRun = None,
    sort: Annotated[
        str,
        typer.Option(
            help=f"What to sort by: {', '.join(COMPARED)}, or another figure of the evaluation.",
            metavar="METRIC",
        ),
    ] = AUC,
    worst: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only so many, of those with true and wrong pairs and enough of them "
            "(evaluator.min_slice_pairs).",
            show_default="all slices",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Shows a run's figures by slice of the test split, the worst first.

    Where higher is better, the lowest come first; where lower is better, as of ece, the highest.
    Slices with fewer pairs than evaluator.min_slice_pairs are dimmed: their figures say more about
    chance than about the model. After ± stands half of the 95 % confidence interval. Further
    figures are shown as far as there is room.

    Examples:

        dexmatch slices

        dexmatch slices --sort auc --worst 10

        dexmatch slices -2 --sort ece --json
    """
    settings = load_config(config, set_)
    runs = Metadata.of(Workspace.from_config(settings)).runs()
    found = run_names.find(runs, run, "ModelEvaluation")
    from pipeline import logs

    with logs.hushed():
        from results import evaluation

        evaluated = evaluation.of_run(found)
    evaluation.check_metric(evaluated, sort)
    fewest = settings.evaluator.min_slice_pairs
    chosen = _sorted(evaluated, sort)
    if worst:
        judged = [each for each in chosen if each.examples >= fewest and each.has_both_labels]
        chosen = [each for each in judged if sort in each.figures][:worst]
    overall = evaluated.slice(OVERALL)
    if as_json:
        named = [each for each in (overall, *chosen) if each]
        described = [_describe(each, fewest) for each in named]
        print(json.dumps({"run": found.id, "sort": sort, "slices": described}, indent=2))
        return
    rows = [_row(overall, sort, fewest), ()] if overall else []
    rows += [_row(each, sort, fewest) for each in chosen]
    has_baseline = any(each.baseline for each in evaluated.slices)
    _print(rows, sort, has_baseline)


def _sorted(evaluated: "Evaluation", metric: str) -> "list[SliceFigures]":
    """All slices but the whole split, the worst first, those without the figure last."""

    def goodness(each: "SliceFigures") -> tuple[bool, float]:
        value = each.figures.get(metric, 0.0)
        better = gain(metric, value)
        return metric not in each.figures, value if better is None else better

    return sorted((each for each in evaluated.slices if each.name != OVERALL), key=goodness)


def _row(figures: "SliceFigures", metric: str, fewest: int) -> tuple[Text, ...]:
    baseline = figures.baseline.get(metric)
    value = figures.figures.get(metric)
    change = "-" if baseline is None or value is None else f"{value - baseline:+.3f}"
    cells = (
        figures.name,
        f"{figures.examples:,}",
        figures.shown(metric),
        "-" if baseline is None else f"{baseline:.3f}",
        change,
        *(figures.shown(name, interval=False) for name in COMPARED if name != metric),
    )
    style = "dim" if figures.examples < fewest else ""
    return tuple(Text(cell, style) for cell in cells)


def _print(rows: list[tuple[Text, ...]], metric: str, has_baseline: bool) -> None:
    columns = [
        *("slice", "pairs>", f"{metric}>", "blessed>", "change>"),
        *(f"{name}>" for name in COMPARED if name != metric),
    ]
    if not has_baseline:
        del columns[3:5]
        rows = [row[:3] + row[5:] for row in rows]
    terminal.output.print(terminal.fitted(columns, rows, _FEWEST_COLUMNS))


def _describe(figures: "SliceFigures", fewest: int) -> dict[str, Any]:
    return {
        "slice": figures.name,
        "pairs": figures.examples,
        "is_small": figures.examples < fewest,
        "figures": figures.figures,
        "intervals": figures.intervals,
        "baseline": figures.baseline,
    }

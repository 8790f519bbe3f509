"""`dexmatch compare`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from core import terminal
from core.metrics import AUC, SUMMARISED
from pipeline.commands.run import ConfigOption, SetOption, load_config
from pipeline.commands.run_argument import Run as RunArgument
from results import run_names
from results.metadata import Metadata, Run
from results.workspace import Workspace

if TYPE_CHECKING:
    from results.comparison import Change

_STYLES = {True: "green", False: "red", None: ""}
_YES_NO = {True: "yes", False: "no", None: "-"}


def compare(
    before: RunArgument,
    after: RunArgument,
    sort: Annotated[
        str, typer.Option(help="The figure whose changes are shown by slice.", metavar="METRIC")
    ] = AUC,
    most: Annotated[
        int, typer.Option(min=0, help="Show so many of the slices that changed most.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Sets two runs side by side: figures, the slices that changed most, configuration, data.

    After ± stands half of the 95 % confidence interval. A change is coloured, and marked with *, if
    its interval leaves out zero. It takes the runs for independent, and so is too wide where both
    were evaluated on the same pairs; but of twenty changes that chance makes, it still marks one.
    Slices with fewer pairs than evaluator.min_slice_pairs are left out.

    Examples:

        dexmatch compare -2 -1

        dexmatch compare 3 5 --sort ece --json
    """
    settings = load_config(config, set_)
    runs = Metadata.of(Workspace.from_config(settings)).runs()
    pair = [run_names.find(runs, name, "ModelEvaluation") for name in (before, after)]
    from pipeline import logs

    with logs.hushed():
        from results import comparison, evaluation

        one, other = (evaluation.of_run(run) for run in pair)
    fewest = settings.evaluator.min_slice_pairs
    evaluation.check_metric(one, sort)
    figures = comparison.changes(one, other)
    by_slice = comparison.most_changed(one, other, sort, fewest)[:most]
    keys = comparison.configuration_changes(*pair)
    same_data = comparison.is_same_data(*pair)
    if as_json:
        document = {
            "runs": [_describe(run) for run in pair],
            "same_data": same_data,
            "figures": [_change(change) for change in figures],
            "slices": [_change(change) for change in by_slice],
            "config": {key: {"before": was, "after": now} for key, (was, now) in keys.items()},
        }
        print(json.dumps(document, indent=2))
        return
    names = [f"run {1 + runs.index(run)}" for run in pair]
    _print_runs(pair, names, same_data)
    _print_changes("figure", [each for each in figures if each.metric in SUMMARISED], names)
    if by_slice:
        _print_changes(f"{sort} by slice", by_slice, names)
    _print_configuration(keys, names)


def _print_runs(pair: list[Run], names: list[str], same_data: bool | None) -> None:
    table = terminal.table("", *names)
    table.add_row("started", *(f"{run.started:%Y-%m-%d %H:%M}" for run in pair))
    table.add_row("data", *(Text(run.dataset.name if run.dataset else "-") for run in pair))
    if same_data is False:
        table.add_row("", Text("not the same files: figures are of different pairs", "yellow"), "")
    table.add_row("blessed", *(_YES_NO[run.is_blessed] for run in pair))
    table.add_row("served well", *(_YES_NO[run.is_infra_blessed] for run in pair))
    table.add_row("pushed", *(run.pushed_version or "-" for run in pair))
    terminal.output.print(table)


def _print_changes(title: str, changes: "list[Change]", names: list[str]) -> None:
    rows: list[tuple[str | Text, ...]] = []
    by_slice = len({each.metric for each in changes}) == 1
    for number, change in enumerate(changes):
        before, after, metric = change.before, change.after, change.metric
        starts = number == 0 or changes[number - 1].before.name != before.name
        if number and starts and not by_slice:
            rows.append(())
        name = before.name if by_slice else f"{before.name} {metric}"
        style = _STYLES[change.is_better] if change.is_clear else ""
        mark = "*" if change.is_clear else ""
        rows.append(
            (
                Text(name),
                Text(f"{mark}{_shown(change)}", style),
                before.shown(metric),
                after.shown(metric),
                f"{before.examples:,}",
                f"{after.examples:,}",
            )
        )
    columns = [title, "change>", *(f"{name}>" for name in names), "pairs>", "pairs>"]
    terminal.output.print(terminal.fitted(columns, rows, fewest=4))


def _shown(change: "Change") -> str:
    if change.interval is None:
        return f"{change.difference:+.3f}"
    lower, upper = change.interval
    return f"{change.difference:+.3f}±{(upper - lower) / 2:.3f}"


def _print_configuration(keys: dict[str, tuple[Any, Any]], names: list[str]) -> None:
    if not keys:
        terminal.output.print("Same configuration.")
        return
    table = terminal.table("configuration", *names)
    for key, values in keys.items():
        table.add_row(key, *(Text(_short(value), overflow="fold") for value in values))
    terminal.output.print(table)


def _short(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def _describe(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "started": run.started.isoformat(timespec="seconds"),
        "data": str(run.dataset) if run.dataset else None,
        "blessed": run.is_blessed,
        "infra_blessed": run.is_infra_blessed,
        "pushed_version": run.pushed_version,
    }


def _change(change: "Change") -> dict[str, Any]:
    metric = change.metric

    def side(figures: Any) -> dict[str, Any]:
        return {
            "value": figures.figures[metric],
            "interval": figures.intervals.get(metric),
            "pairs": figures.examples,
        }

    return {
        "slice": change.before.name,
        "metric": metric,
        "before": side(change.before),
        "after": side(change.after),
        "difference": change.difference,
        "difference_interval": change.interval,
        "is_better": change.is_better,
        "is_clear": change.is_clear,
    }

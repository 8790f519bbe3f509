"""`dexmatch runs`."""

import json
from typing import Annotated, Any

import typer

from core import terminal
from core.slices import KEY_SLICES
from pipeline.commands.run import ConfigOption, SetOption, load_config
from results.metadata import FAILED, UNFINISHED, Metadata, Run
from results.workspace import Workspace


def runs(
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Lists past runs: when, on which data, the figures, blessed or not, the pushed version.

    The runs are those of the workspace that the configuration names. Other commands take a run by
    its number here, or counted from the end: -1 is the latest.

    Examples:

        dexmatch runs

        dexmatch runs --set run.name=mine --json
    """
    workspace = Workspace.from_config(load_config(config, set_))
    every = Metadata.of(workspace).runs()
    found = [_describe(number, run) for number, run in enumerate(every, 1)]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    if not found:
        terminal.say(f"no runs yet in {workspace.root}; start one: dexmatch run --data DIR")
        return
    table = terminal.table(
        "run>", "started", "data", "state", "AUC>", "random>", "hard>", "blessed", "pushed"
    )
    table.columns[1].no_wrap = True
    for run in found:
        aucs = run["auc"]
        table.add_row(
            str(run["number"]),
            run["started"][:16].replace("T", " "),
            run["data"] or "-",
            run["state"],
            *(terminal.figure(aucs.get(name)) for name in KEY_SLICES),
            {True: "yes", False: "no", None: "-"}[run["blessed"]],
            run["pushed_version"] or "-",
        )
    terminal.output.print(table)


def _describe(number: int, run: Run) -> dict[str, Any]:
    return {
        "number": number,
        "id": run.id,
        "started": run.started.isoformat(timespec="seconds"),
        "data": run.dataset.name if run.dataset else None,
        "state": _state(run),
        "auc": run.aucs,
        "blessed": run.is_blessed,
        "pushed_version": run.pushed_version,
    }


def _state(run: Run) -> str:
    """How far the run came."""
    for execution in run.executions:
        if execution.state in (FAILED, UNFINISHED):
            return f"{execution.state} at {execution.node}"
    return "done"

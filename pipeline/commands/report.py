"""`dexmatch report`."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from core import terminal
from core.errors import DexmatchError
from core.files import write_atomically
from core.progress import show_progress
from pipeline import logs
from pipeline.commands import run_argument
from pipeline.commands.run import ConfigOption, SetOption, load_config
from results import run_names
from results.metadata import Metadata, Run
from results.workspace import Workspace

_NEEDS = "ModelEvaluation"


def report(
    run: run_argument.OptionalRun = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Set the figures beside another run's, and not the latest blessed model's.",
            show_default="none",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Where to write the page.",
            show_default="report-RUN.html in the workspace",
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Writes the report of a run again: the verdict, every slice, curves, examples, data, lineage.

    It is one HTML file that opens from disk without a server or a network. `dexmatch run` writes
    one by itself; this one can be compared with any other run.

    Examples:

        dexmatch report --open

        dexmatch report -1 --compare -2 --out change.html
    """
    workspace = Workspace.from_config(load_config(config, set_))
    metadata = Metadata.of(workspace)
    runs = metadata.runs()
    of = run_names.find(runs, run, _NEEDS)
    other = run_names.find(runs, compare, _NEEDS) if compare else None
    path = out or workspace.root / _file_name(of, other)
    if not path.parent.is_dir():
        raise DexmatchError(f"{path.parent}: no such folder to write the report to")
    with logs.hushed(), show_progress("Writing the report"):
        from pages.report.page import gather_report, render_report
        from pages.sources import Sources, sources_of_previous_run

        name = workspace.root.name
        gathered = gather_report(
            Sources.of_run(name, of),
            sources_of_previous_run(metadata, of, name),
            Sources.of_run(name, other) if other else None,
        )
        write_atomically(path, render_report(gathered))
    terminal.output.print(str(path), markup=False, soft_wrap=True)
    if open_ and not webbrowser.open(path.resolve().as_uri()):
        terminal.say("found no browser to open it with")


def _file_name(of: Run, other: Run | None) -> str:
    # A run's id holds colons, which not every file system takes.
    ids = [each.id.replace(":", "").partition(".")[0] for each in (of, other) if each]
    return f"report-{'-against-'.join(ids)}.html"

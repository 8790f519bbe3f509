"""`dexmatch versions` and `dexmatch rollback`."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from core import terminal
from core.slices import KEY_SLICES
from pipeline.commands.run import ConfigOption, SetOption, load_config
from results import versions
from results.metadata import Metadata, Run
from results.workspace import Workspace

_SERVED, _KEPT, _ROLLED_BACK = "served", "kept", "rolled back"


def list_versions(
    config: ConfigOption = None,
    set_: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Lists the pushed versions: which one is served, their figures, which were rolled back.

    Examples:

        dexmatch versions

        dexmatch versions --set run.name=mine --json
    """
    workspace = Workspace.from_config(load_config(config, set_))
    found = versions.list_versions(workspace.serving)
    pushed = {run.pushed_version: run for run in Metadata.of(workspace).runs()}
    served = versions.served(found)
    described = [_describe(each, served, pushed.get(str(each.number))) for each in found]
    if as_json:
        print(json.dumps(described, indent=2))
        return
    if not described:
        terminal.say(
            f"no versions yet in {workspace.serving}; a blessed model is pushed by: dexmatch run"
        )
        return
    table = terminal.table("version", "state", "pushed", "AUC>", "random>", "hard>", "MB>")
    for each in described:
        table.add_row(
            each["version"],
            each["state"],
            (each["pushed"] or "-")[:16].replace("T", " "),
            *(terminal.figure(each["auc"].get(name)) for name in KEY_SLICES),
            f"{each['bytes'] / 1e6:.1f}",
        )
    terminal.output.print(table)
    for line in versions.rollbacks(workspace.serving):
        reason = f": {line['reason']}" if line["reason"] else ""
        moment = line["time"][:16].replace("T", " ")
        terminal.say(f"{moment} UTC rolled back from {line['from']} to {line['to']}{reason}")


def rollback(
    config: ConfigOption = None,
    set_: SetOption = None,
    to: Annotated[
        int | None,
        typer.Option(help="The version to serve; by default the one before.", show_default=False),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
) -> None:
    """Makes the previous version, or the one that `--to` names, the served one again.

    Newer versions are set aside, not removed: `--to` brings them back. A running model server takes
    the change up at its next poll.

    Examples:

        dexmatch rollback --reason "wrong on blue creatures"

        dexmatch rollback --to 1795569948
    """
    workspace = Workspace.from_config(load_config(config, set_))
    version = versions.roll_back(workspace.serving, to, reason)
    terminal.say(f"version {version.number} is served")


def _describe(
    version: versions.Version, served: versions.Version | None, run: Run | None
) -> dict[str, Any]:
    kept = _SERVED if version == served else _KEPT
    return {
        "version": str(version.number),
        "state": _ROLLED_BACK if version.is_set_aside else kept,
        "pushed": _pushed(version),
        "auc": run.aucs if run else {},
        "blessed": run.is_blessed if run else None,
        "infra_blessed": run.is_infra_blessed if run else None,
        "bytes": version.size,
        "path": str(version.path),
    }


def _pushed(version: versions.Version) -> str | None:
    """When: TFX names versions after the second. None for a number that is no such time."""
    try:
        return datetime.fromtimestamp(version.number).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None

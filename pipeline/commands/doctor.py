"""`dexmatch doctor`."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from core import terminal
from pipeline.commands.run import ConfigOption, SetOption, load_config

BROKEN = 2
"""Exit status where something is for the user to mend, as for every command."""
OK, WARNING, PROBLEM = "ok", "warning", "problem"
_STYLES = {OK: "green", WARNING: "yellow", PROBLEM: "bold red"}


def doctor(
    data: Annotated[
        str | None,
        typer.Option(help="Data set to look at.", metavar="FOLDER", show_default="data.dataset"),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Read every byte of the data set, and load TFX as well."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Says what is installed, what works, and what to do about what does not.

    It looks at packages, machine, model servers, ports, the data set, the workspace and the pushed
    model, and changes nothing. What it prints can go into an issue as it is: there are no
    variables of the environment in it, no logins, and ~ stands for your home folder. Exit status:
    0 if nothing is broken, 2 if there is something for you to mend.

    Examples:

        dexmatch doctor

        dexmatch doctor --data datasets/mine --set run.name=mine --thorough

        dexmatch doctor --json | jq '.checks[] | select(.status != "ok")'
    """
    from pipeline.doctor import Subject, examine
    from pipeline.doctor.privacy import without_secrets

    subject = Subject(load_config(config, set_, data), thorough)
    checks = [
        {"topic": topic, **without_secrets(asdict(check))} for topic, check in examine(subject)
    ]
    counts = Counter(each["status"] for each in checks)
    worst = next((each for each in (PROBLEM, WARNING) if counts[each]), OK)
    if as_json:
        print(json.dumps({"status": worst, "checks": checks}, indent=2))
    else:
        _print(checks, counts)
    raise typer.Exit(BROKEN if worst == PROBLEM else 0)


def _print(checks: Sequence[dict[str, Any]], counts: Counter[str]) -> None:
    table = terminal.table("check", "state", "found")
    for column in table.columns[:2]:
        column.no_wrap = True
    topic = None
    for each in checks:
        if topic not in (None, each["topic"]):
            table.add_section()
        topic = each["topic"]
        found = Text(each["found"])
        if each["advice"]:
            found.append(f"\n→ {each['advice']}", style=_STYLES[each["status"]])
        status = Text(each["status"], style=_STYLES[each["status"]])
        table.add_row(Text(each["name"]), status, found)
    terminal.output.print(table)
    told = [f"{counts[each]} {each}{'s' * (counts[each] > 1)}" for each in (PROBLEM, WARNING)]
    told = [each for each in told if not each.startswith("0 ")]
    terminal.output.print(", ".join(told) or "all is well")

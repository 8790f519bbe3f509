"""The argument RUN, which may be a negative number and so looks like an option."""

from typing import Annotated

import typer

from core.errors import DexmatchError
from results import run_names

SETTINGS = {"ignore_unknown_options": True}
"""`context_settings` of a command that takes a RUN: lets -1 through to it."""


def _checked(name: str | None) -> str | None:
    """Refuses an option with a typing error, which `SETTINGS` lets through as well."""
    if name and name.startswith("-") and not name[1:].isdecimal():
        raise DexmatchError(f"no such option: {name}; --help lists what there is")
    return name


Run = Annotated[str, typer.Argument(help=run_names.HELP, callback=_checked, show_default=False)]
OptionalRun = Annotated[
    str | None,
    typer.Argument(
        help=f"{run_names.HELP} By default the latest that was evaluated.",
        callback=_checked,
        show_default=False,
        metavar="[RUN]",
    ),
]

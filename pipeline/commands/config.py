"""`dexmatch config`."""

from typing import Annotated

import typer
from rich.text import Text

from core import terminal
from core.config import Config
from pipeline.commands.run import ConfigOption, SetOption, load_config

app = typer.Typer(help="Look at the configuration.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `show` a command of its own while it is the only one."""


@app.command()
def show(
    config: ConfigOption = None,
    set_: SetOption = None,
    keys: Annotated[
        bool, typer.Option("--keys", help="Explain every key instead, with its value.")
    ] = False,
) -> None:
    """Prints the configuration that a run would use, as TOML.

    Examples:

        dexmatch config show --config seed --set trainer.epochs=3

        dexmatch config show --keys

        dexmatch config show > my.toml
    """
    settings = load_config(config, set_)
    if not keys:
        terminal.output.print(settings.to_toml(), markup=False, soft_wrap=True, end="")
        return
    table = terminal.table("key", "value", "meaning")
    # A key is copied from here, or searched for.
    table.columns[0].no_wrap = True
    for section_name in Config.model_fields:
        section = getattr(settings, section_name)
        for name, field in type(section).model_fields.items():
            value = section.model_dump(mode="json", exclude_none=True)[name]
            table.add_row(f"{section_name}.{name}", Text(str(value)), Text(field.description or ""))
        table.add_section()
    terminal.output.print(table)

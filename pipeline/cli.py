"""The `dexmatch` command: every command in one place, every error in one line.

Commands import TensorFlow and TFX only when they need them, so that `--help` answers at once.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

import typer

from core import disk, garbage, terminal
from core.errors import DexmatchError
from pipeline.commands import config as config_commands
from pipeline.commands import data as data_commands
from pipeline.commands import run_argument
from pipeline.commands.app import app as open_app
from pipeline.commands.audit import audit
from pipeline.commands.compare import compare
from pipeline.commands.compile import compile_
from pipeline.commands.demo import demo
from pipeline.commands.doctor import doctor
from pipeline.commands.init import init
from pipeline.commands.monitor import monitor
from pipeline.commands.pokemon import pokemon
from pipeline.commands.predict import predict
from pipeline.commands.report import report
from pipeline.commands.run import run
from pipeline.commands.runs import runs
from pipeline.commands.search import search
from pipeline.commands.serve import serve
from pipeline.commands.slices import slices
from pipeline.commands.tag import tag
from pipeline.commands.versions import list_versions, rollback

app = typer.Typer(
    name="dexmatch",
    help="Learns whether a caption describes an image, and ships only models that earn it.",
    epilog="Start with: dexmatch data demo, then dexmatch run --config demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_commands.app.command()(demo)
data_commands.app.command()(pokemon)
data_commands.app.command()(audit)
app.add_typer(data_commands.app, name="data")
app.command()(init)
app.command()(run)
app.command("compile")(compile_)
app.command()(runs)
app.command(context_settings=run_argument.SETTINGS)(slices)
app.command(context_settings=run_argument.SETTINGS)(compare)
app.command(context_settings=run_argument.SETTINGS)(report)
app.command("versions")(list_versions)
app.command()(rollback)
app.command()(serve)
app.command()(monitor)
app.command()(predict)
app.command()(search)
app.command()(tag)
app.command("app")(open_app)
app.command()(doctor)
app.add_typer(config_commands.app, name="config")


def main() -> None:
    """Entry point; exits with 2 on a user's mistake and 130 on Ctrl-C."""
    garbage.spare_libraries()
    try:
        with disk.explained(), _names_explained():
            app(prog_name="dexmatch")
    except DexmatchError as error:
        terminal.console.print("[bold red]Error[/]: ", end="")
        terminal.say(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        terminal.say("stopped")
        sys.exit(130)


@contextlib.contextmanager
def _names_explained() -> Iterator[None]:
    """Tells which names no library below takes, and that the current folder has none any more."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise DexmatchError("the current folder was removed; change to another one") from error
    try:
        yield
    except UnicodeEncodeError as error:
        # Python stands surrogates in for the bytes of a file name that are not UTF-8.
        if "surrogates" not in error.reason:
            raise
        raise DexmatchError(f"{error.object}: the name is not in UTF-8; rename it") from error

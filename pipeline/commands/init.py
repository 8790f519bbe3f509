"""`dexmatch init`."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from core import config as configs
from core import terminal
from core.errors import DexmatchError
from data import dataset
from pipeline import project


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the project; it may exist.")] = Path(),
    template: Annotated[
        bool,
        typer.Option(
            "--template",
            help="Also write a package with a model, a preprocessing of captions and a component, "
            "to edit.",
        ),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Data set folder, as written by dexmatch data import.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(help=f"To start from: {', '.join(configs.recipe_names())}.", metavar="NAME"),
    ] = "pretrained",
    package: Annotated[
        str | None,
        typer.Option(
            help="Name of the package that --template writes.",
            show_default="the folder's",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Makes a folder to start from for a project of your own.

    Writes dexmatch.toml, the configuration that commands use which are started
    in the folder, a README.md and a .gitignore. With --template also a package
    whose functions the pipeline runs: what they must be is told in
    docs/extend.md. No file is overwritten.

    Examples:

        dexmatch init shop --data datasets/shop

        dexmatch init shop --template

        dexmatch init --recipe demo
    """
    if recipe not in configs.recipe_names():
        raise DexmatchError(
            f"--recipe {recipe}: no such recipe; they are {', '.join(configs.recipe_names())}"
        )
    if package and not template:
        raise DexmatchError("--package names what --template writes; give that too")
    written, kept = project.make(
        project.Project(
            folder=folder,
            recipe=recipe,
            # Commands are started in the folder.
            dataset=os.path.relpath(dataset.load(data).path, folder) if data else "",
            package=project.package_name(folder, package) if template else None,
        )
    )
    for path in written:
        terminal.say(f"made {path}")
    if not written:
        terminal.say("nothing to make: all files are there")
    for path in kept:
        terminal.say(f"{path}: was there already, and is left as it is")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    terminal.say(f"Next: {enter}dexmatch run{'' if data else ' --data DATASET'}")

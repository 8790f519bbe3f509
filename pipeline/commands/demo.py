"""`dexmatch data demo`."""

import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer

from core import terminal
from core.errors import DexmatchError
from core.progress import show_progress
from data.demo.creatures import DEFAULT_COUNT, DEFAULT_SEED

_PICTURES = "-pictures"


def demo(
    out: Annotated[Path, typer.Option(help="Data set folder to make.")] = Path("datasets/demo"),
    count: Annotated[int, typer.Option(min=50, help="How many creatures.")] = DEFAULT_COUNT,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other creatures.")] = DEFAULT_SEED,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the demo that is in --out.")
    ] = False,
) -> None:
    """Draws the built-in demo, captioned creatures in families, and imports it.

    The pictures and their captions.csv are kept beside the data set, in OUT-pictures, to look at
    and to see what a source may look like.

    Examples:

        dexmatch data demo

        dexmatch data demo --out datasets/small --count 100
    """
    from data import importer
    from data.columns import Columns
    from data.demo import generator

    if out.exists() and not overwrite:
        raise DexmatchError(f"{out}: exists already; replace it with --overwrite")
    pictures = out.with_name(out.name + _PICTURES)
    if overwrite and (pictures / generator.CSV).is_file():
        shutil.rmtree(pictures)
    with show_progress("Drawing creatures", count) as done:
        generator.write_folder(pictures, count, seed, on_progress=done)
    imported = importer.import_pairs(
        pictures / generator.CSV,
        out,
        columns=Columns(group=generator.GROUP_COLUMN),
        overwrite=overwrite,
        say=lambda _: None,
    )
    terminal.say(f"{imported.examples:,} creatures in {imported.groups:,} families: {pictures}")
    terminal.say(f"Next: dexmatch run --data {shlex.quote(str(out))} --config demo")

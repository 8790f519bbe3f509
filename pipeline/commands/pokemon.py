"""`dexmatch data pokemon`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from core import terminal
from core.errors import DexmatchError
from data.pokemon.language import Language
from pipeline.commands.data import INTERRUPTED, OverwriteOption, tell_import

_API = "https://pokeapi.co/api/v2"
_CACHE = "pokeapi"
_LICENCE = (
    "Names, texts and artwork belong to Nintendo, Game Freak and Creatures: for study only, not to "
    "be passed on."
)


def pokemon(
    out: Annotated[Path, typer.Option(help="Data set folder to make.")] = Path("datasets/pokemon"),
    language: Annotated[Language, typer.Option(help="Of the captions.")] = Language.EN,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The first N species.", show_default="all 1,025")
    ] = None,
    api: Annotated[str, typer.Option(help="PokeAPI, or a mirror of it.", metavar="URL")] = _API,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Where answers and pictures are kept, for any language and --out.",
            show_default=f"{_CACHE} beside --out",
        ),
    ] = None,
    max_rejects: Annotated[
        str,
        typer.Option(help="More species than this missing fail the import: 5%, 0.05, or a count."),
    ] = "5%",
    overwrite: OverwriteOption = False,
) -> None:
    """Fetches captioned Pokémon from PokeAPI, and imports them.

    The official artwork and a caption for each species: colour, shape, types
    and genus in a sentence of ours, and a flavor text of the games. Families
    are evolution chains. A species that cannot be had is listed in
    rejects.csv, with the reason.

    It asks for at most ten things a second, so all take five minutes or more.
    What was fetched is kept: a run that was stopped goes on, and another
    language asks for nothing. To fetch anew, remove the folder --cache.

    Names, texts and artwork belong to Nintendo, Game Freak and Creatures: they
    are for study only, and not part of dexmatch.

    Examples:

        dexmatch data pokemon

        dexmatch data pokemon --language ko --out datasets/pokemon-ko

        dexmatch data pokemon --limit 100 --out datasets/few
    """
    # What an import needs takes longer to load than the help takes to print.
    from data import importer, rejects, staging
    from data.columns import Columns
    from data.pokemon.client import api_address
    from data.pokemon.fetching import fetch
    from data.pokemon.reader import GROUP_COLUMN

    target = out.absolute()
    kept = (cache or target.parent / _CACHE).absolute()
    if target in (kept, *kept.parents):
        raise DexmatchError(f"--out {out}: holds what is fetched ({kept}); choose another folder")
    # Before anything is fetched.
    address = api_address(api)
    rejects.allowed(max_rejects, 0)
    staging.check_target(target, overwrite=overwrite)
    try:
        fetched = fetch(address, kept, language, limit)
        imported = importer.import_pairs(
            fetched,
            out,
            columns=Columns(image="image", caption="caption", group=GROUP_COLUMN),
            max_rejects=max_rejects,
            overwrite=overwrite,
        )
    except KeyboardInterrupt:
        terminal.say(
            f"Stopped. What was fetched is kept in {kept}; the same command goes on from there."
        )
        raise typer.Exit(INTERRUPTED) from None
    tell_import(imported)
    if imported.rejected:
        terminal.say("The same command with --overwrite asks for them once more.")
    terminal.say(_LICENCE)
    terminal.say(f"Next: dexmatch run --data {shlex.quote(str(out))} --config pokemon")

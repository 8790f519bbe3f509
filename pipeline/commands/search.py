"""`dexmatch search`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from core import terminal
from core.errors import DexmatchError
from core.progress import show_progress
from pipeline.commands.model_options import (
    ClientCertificateOption,
    ClientKeyOption,
    ModelOption,
    ServerOption,
    open_chosen,
)
from pipeline.commands.one_version import of_one_version
from pipeline.commands.run import ConfigOption, SetOption, load_config

if TYPE_CHECKING:
    from serving.client import Client
    from serving.search.index import Hit, Index

_NAMED = 5
"""Pictures that cannot be judged are named up to this number: a folder may hold thousands."""


def search(
    caption: Annotated[str, typer.Argument(help="What to search for.", show_default=False)],
    images: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of pictures; those below it count too.")
    ],
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to keep what the model makes of the pictures.",
            show_default=".dexmatch-index.npz in DIR",
        ),
    ] = None,
    no_index: Annotated[
        bool, typer.Option("--no-index", help="Keep nothing: encode all pictures anew.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="The most pictures to show.")] = 10,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="OUT.html|OUT.png", help="Write a contact sheet as well."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, a line for a picture.")
    ] = False,
    server: ServerOption = None,
    client_certificate: ClientCertificateOption = None,
    client_key: ClientKeyOption = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Finds the pictures that a caption describes best.

    Every picture is encoded once: an index file remembers it, and the next search is instant. Only
    new and changed pictures are encoded then, and all of them if another model answers. Exit
    status: 0 searched; 2 a mistake that you can mend. Pictures that cannot be read or decoded are
    counted on standard error, and not found.

    Examples:

        dexmatch search "a red dragon with two horns" --images photos/

        dexmatch search "a blue fish" --images photos/ --top 50 --sheet fish.html

        dexmatch search "a blue fish" --images photos/ --no-index --json | jq -r .picture
    """
    if index and no_index:
        raise DexmatchError("--index and --no-index: name one of them")
    settings = load_config(config, set_)
    from serving.search.index import Index

    paths = pictures_in(images)
    if sheet:
        from serving.search import sheet as sheets

        sheets.check(sheet)
    file = None if no_index else index_file(images, index)
    kept = load_index(file, images) if file else None
    with open_chosen(settings, server, model, client_certificate, client_key) as client:

        def find() -> "tuple[Index, list[Hit]]":
            fresh = Index.empty(images, client)
            query = client.encode_captions([caption])[0]
            if not query.any():
                raise DexmatchError(f'"{caption}": holds no word to search for')
            updated = _updated(client, fresh, paths, kept, file)
            return updated, updated.search(client, query, top)

        current, hits = of_one_version(client, find)
    if current.reasons:
        _name_unjudged(current.reasons, len(paths))
    _print(hits, as_json)
    if sheet:
        sheets.write(sheet, caption, hits, images, len(paths))
        terminal.say(f"contact sheet  {sheet}")


def pictures_in(images: Path) -> list[Path]:
    """The pictures below a folder.

    Raises:
      DexmatchError: there is no such folder, or no picture in it.
    """
    from serving.search.pictures import in_folder, shown

    if not os.path.isdir(images):
        raise DexmatchError(f"{shown(images)}: no such folder")
    found = in_folder(images)
    if not found:
        raise DexmatchError(f"{shown(images)}: no pictures in this folder")
    return found


def index_file(images: Path, index: Path | None) -> Path:
    """Where the index of a folder is to be.

    Args:
      images: the folder.
      index: the place that the user named; None for none.

    Raises:
      DexmatchError: that place is a folder, or in none.
    """
    from serving.search.index import DEFAULT_NAME

    if index is None:
        return images / DEFAULT_NAME
    if index.is_dir() or not index.parent.is_dir():
        raise DexmatchError(f"--index {index}: name a file in a folder that exists")
    return index


def load_index(file: Path, images: Path) -> "Index | None":
    """The index of a folder; None if there is none yet.

    Raises:
      DexmatchError: the file is no index, or is damaged.
    """
    from serving.search.index import Index

    try:
        return Index.load(file, images)
    except FileNotFoundError:
        return None


def _updated(
    client: "Client", fresh: "Index", paths: list[Path], kept: "Index | None", file: Path | None
) -> "Index":
    """An index of these pictures, written if anything in it changed.

    Args:
      client: the model.
      fresh: an index without pictures, for this model.
      paths: all pictures.
      kept: the index that is there.
      file: where it is to be kept; None for nowhere.
    """
    current = fresh
    if kept and kept.is_of_same_model(fresh):
        current = kept
    elif kept:
        terminal.say(
            f"{file}: made by another model (version {kept.version}; {fresh.version} answers now); "
            "encoding all pictures anew"
        )
    changes = current.compare(paths)
    try:
        with show_progress("Encoding pictures", len(changes.missing)) as done:
            current.update(client, changes, done)
    finally:
        # Also after Ctrl-C: what was encoded need not be encoded again.
        if file and (changes.missing or changes.gone):
            _save(current, file)
    terminal.say(
        f"pictures: {len(paths):,} (encoded now {len(changes.missing):,}, "
        f"in the index already {len(changes.kept):,})"
    )
    return current


def _save(index: "Index", file: Path) -> None:
    try:
        index.save(file)
    except OSError as error:
        terminal.say(
            f"{file}: the index cannot be kept ({error.strerror}); --index names another place"
        )


def _name_unjudged(reasons: dict[str, str], total: int) -> None:
    from serving.search.pictures import shown

    named = [f"{shown(name)}: {why}" for name, why in list(reasons.items())[:_NAMED]]
    if len(reasons) > _NAMED:
        named.append(f"and {len(reasons) - _NAMED:,} more")
    terminal.say(f"cannot be judged: {len(reasons):,} of {total:,} pictures ({'; '.join(named)})")


def _print(hits: "list[Hit]", as_json: bool) -> None:
    from serving.search.pictures import shown

    if as_json:
        for rank, hit in enumerate(hits, 1):
            found = {"rank": rank, "picture": str(hit.path), "probability": hit.probability}
            print(json.dumps(found))
        return
    table = terminal.table("rank>", "probability>", "picture")
    for rank, hit in enumerate(hits, 1):
        table.add_row(str(rank), f"{hit.probability:.1%}", Text(shown(hit.path)))
    terminal.output.print(table)

"""`dexmatch tag`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.text import Text

from core import terminal
from core.progress import show_progress
from pipeline.commands.model_options import (
    NOT_ALL_JUDGED,
    ModelOption,
    ServerOption,
    open_chosen,
    picture_names,
    read_captions,
)
from pipeline.commands.run import ConfigOption, SetOption, load_config

if TYPE_CHECKING:
    from serving.client import Client

_BLOCK = 65_536
"""Pairs that are scored at a time."""


class _Tagged(NamedTuple):
    """A picture with the captions that describe it best.

    Attributes:
      path: the picture.
      tags: (caption, probability), the best first.
      reason: why there are none; None if the picture can be judged.
    """

    path: Path
    tags: list[tuple[str, float]]
    reason: str | None


def tag(
    captions: Annotated[
        Path, typer.Option(metavar="FILE", help="Captions to choose from, one a line, in UTF-8.")
    ],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE...",
            help="Picture files or folders; - reads their names from standard input, one a line.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="The most captions for a picture.")] = 5,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, a line for a picture.")
    ] = False,
    server: ServerOption = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Finds the captions that describe a picture best.

    Every picture and every caption is encoded once. Exit status: 0 every picture was tagged; 4 some
    could not be decoded (they are named); 2 a mistake that you can mend, such as a missing file.

    Examples:

        dexmatch tag bird.png --captions tags.txt

        dexmatch tag photos/ --captions tags.txt --top 3 --json > tags.jsonl
    """
    texts = list(dict.fromkeys(read_captions(captions)))
    settings = load_config(config, set_)
    from serving.search import pictures

    paths = pictures.find(picture_names(images or ()))
    with open_chosen(settings, server, model) as client:
        tagged = list(_tag(client, paths, texts, top))
    _print(tagged, as_json)
    if any(each.reason for each in tagged):
        raise typer.Exit(NOT_ALL_JUDGED)


def _tag(client: "Client", paths: list[Path], texts: list[str], top: int) -> Iterator[_Tagged]:
    from serving.search import encoding
    from serving.search.index import best
    from serving.search.pictures import shown

    with show_progress("Encoding captions", len(texts)) as done:
        captions = encoding.encode_captions(client, texts, done)
    has_words = encoding.is_judged(captions)
    for text, judged in zip(texts, has_words, strict=True):
        if not judged:
            terminal.say(f'cannot be judged: caption "{text}" (holds no word)')
    known = [text for text, judged in zip(texts, has_words, strict=True) if judged]
    captions = captions[has_words]
    with show_progress("Encoding pictures", len(paths)) as done:
        encoded = encoding.encode_all(client, paths, done)
    block = max(1, _BLOCK // len(texts))
    with show_progress("Comparing", len(paths)) as done:
        for start in range(0, len(paths), block):
            table = client.score_all(encoded.embeddings[start : start + block], captions)
            for path, row in zip(encoded.paths[start : start + block], table, strict=True):
                reason = encoded.reasons.get(path)
                if reason:
                    terminal.say(f"cannot be judged: {shown(path)} ({reason})")
                    yield _Tagged(path, [], reason)
                else:
                    yield _Tagged(
                        path, [(known[at], float(row[at])) for at in best(row, top)], None
                    )
            done(min(start + block, len(paths)))


def _print(tagged: list[_Tagged], as_json: bool) -> None:
    from serving.search.pictures import shown

    if as_json:
        for path, tags, reason in tagged:
            listed = [{"caption": text, "probability": value} for text, value in tags]
            why = {"reason": reason} if reason else {}
            print(json.dumps({"picture": str(path), "tags": listed, **why}))
        return
    table = terminal.table("picture", "probability>", "caption")
    for path, tags, reason in tagged:
        for row, (text, value) in enumerate(tags):
            table.add_row(Text("" if row else shown(path)), f"{value:.1%}", Text(text))
        if reason:
            table.add_row(Text(shown(path)), "-", "cannot be judged")
        table.add_section()
    terminal.output.print(table)

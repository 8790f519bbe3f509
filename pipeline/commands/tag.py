"""`dexmatch tag`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.text import Text

from core import terminal
from core.progress import show_progress
from pipeline.commands.model_options import (
    NOT_ALL_JUDGED,
    ClientCertificateOption,
    ClientKeyOption,
    ModelOption,
    ServerOption,
    open_chosen,
    picture_names,
    read_captions,
)
from pipeline.commands.one_version import of_one_version
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
    client_certificate: ClientCertificateOption = None,
    client_key: ClientKeyOption = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Finds the captions that describe a picture best.

    Every picture and every caption is encoded once. Exit status: 0 every picture was tagged; 4 some
    could not be read or decoded (they are named); 2 a mistake that you can mend, such as a missing
    file.

    Examples:

        dexmatch tag bird.png --captions tags.txt

        dexmatch tag photos/ --captions tags.txt --top 3 --json > tags.jsonl
    """
    texts = list(dict.fromkeys(read_captions(captions)))
    settings = load_config(config, set_)
    from serving.search import pictures

    paths = pictures.find(picture_names(images or ()))
    with open_chosen(settings, server, model, client_certificate, client_key) as client:
        tagged, wordless = of_one_version(client, lambda: _tag(client, paths, texts, top))
    _tell_unjudged(tagged, wordless)
    _print(tagged, as_json)
    if any(each.reason for each in tagged):
        raise typer.Exit(NOT_ALL_JUDGED)


def _tag(
    client: "Client", paths: list[Path], texts: list[str], top: int
) -> tuple[list[_Tagged], list[str]]:
    """The pictures with their captions, and the captions without a word."""
    from serving.search import encoding
    from serving.search.ranking import best

    with show_progress("Encoding captions", len(texts)) as done:
        captions = encoding.encode_captions(client, texts, done)
    has_words = encoding.is_judged(captions)
    wordless = [text for text, judged in zip(texts, has_words, strict=True) if not judged]
    known = [text for text, judged in zip(texts, has_words, strict=True) if judged]
    captions = captions[has_words]
    with show_progress("Encoding pictures", len(paths)) as done:
        encoded = encoding.encode_all(client, paths, captions.shape[1], done)
    tagged = []
    block = max(1, _BLOCK // len(texts))
    with show_progress("Comparing", len(paths)) as done:
        for start in range(0, len(paths), block):
            table = client.score_all(encoded.embeddings[start : start + block], captions)
            for path, row in zip(encoded.paths[start : start + block], table, strict=True):
                reason = encoded.reasons.get(path)
                tags = [(known[at], float(row[at])) for at in best(row, top)]
                tagged.append(_Tagged(path, [] if reason else tags, reason))
            done(min(start + block, len(paths)))
    return tagged, wordless


def _tell_unjudged(tagged: list[_Tagged], wordless: list[str]) -> None:
    from serving.search.pictures import shown

    for text in wordless:
        terminal.say(f'cannot be judged: caption "{text}" (holds no word)')
    for path, _, reason in tagged:
        if reason:
            terminal.say(f"cannot be judged: {shown(path)} ({reason})")


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

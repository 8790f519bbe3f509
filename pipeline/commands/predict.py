"""`dexmatch predict`."""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.text import Text

from core import terminal
from core.errors import DexmatchError
from core.progress import show_progress
from core.words import count_words
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
    import numpy as np

    from serving.client import Client

_NO_WORD = "holds no word"
_SHOWN_WORDS = 8
_BLOCK = 4096
"""Pairs that are scored at a time."""


@dataclass(frozen=True)
class _Judged:
    """Every picture with every caption.

    Attributes:
      paths: I pictures.
      reasons: why pictures cannot be judged, for those that cannot.
      captions: C texts.
      has_words: bool [C].
      probabilities: float32 [I, C]; of no meaning where the pair cannot be judged.
    """

    paths: list[Path]
    reasons: dict[Path, str]
    captions: list[str]
    has_words: "np.ndarray"
    probabilities: "np.ndarray"


class _Pair(NamedTuple):
    """What is known of a picture with a caption.

    Attributes:
      picture: path of the file.
      caption: the text.
      probability: None if the pair cannot be judged.
      match: whether the probability reaches the threshold; None if the pair cannot be judged.
      reason: why it cannot.
    """

    picture: str
    caption: str
    probability: float | None
    match: bool | None
    reason: str | None


def predict(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE...",
            help="Picture files or folders; - reads their names from standard input, one a line.",
            show_default=False,
        ),
    ] = None,
    caption: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What to hold against; repeatable.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Captions, one a line, in UTF-8.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Probability from which a caption counts as right.",
            show_default="evaluator.threshold",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line for a pair.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    server: ServerOption = None,
    client_certificate: ClientCertificateOption = None,
    client_key: ClientKeyOption = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Judges whether captions describe pictures: every picture with every caption.

    Exit status: 0 every pair was judged; 4 some could not be, because a picture cannot be read or
    decoded or a caption holds no word (they are named, and get no probability); 2 a mistake that
    you can mend, such as a missing file.

    Examples:

        dexmatch predict bird.png --caption "a red bird" --caption "a blue fish"

        dexmatch predict photos/ --captions captions.txt --csv > judged.csv

        find . -name "*.jpg" | dexmatch predict - --caption "a cat" --json

        dexmatch predict bird.png --caption "a red bird" --server http://localhost:8501
    """
    if as_json and as_csv:
        raise DexmatchError("--json and --csv: name one of them")
    texts = [*(caption or ()), *(read_captions(captions) if captions else ())]
    if not texts:
        raise DexmatchError('no captions: name one by --caption "TEXT", or a file by --captions')
    settings = load_config(config, set_)
    _warn_of_cut(texts, settings.caption.max_tokens)
    if threshold is None:
        threshold = settings.evaluator.threshold
    # NumPy and Pillow take longer to load than the help takes to print.
    from serving.search import pictures

    paths = pictures.find(picture_names(images or ()))
    with open_chosen(settings, server, model, client_certificate, client_key) as client:
        judged = of_one_version(client, lambda: _judge(client, paths, texts))
    _tell_unjudged(judged)
    show = _print_json if as_json else _print_csv if as_csv else _print_table
    if show(_pairs(judged, threshold)):
        raise typer.Exit(NOT_ALL_JUDGED)


def _warn_of_cut(captions: list[str], max_tokens: int) -> None:
    """Tells which captions have more words than a model of this configuration reads."""
    for text in captions:
        words = count_words(text)
        if words > max_tokens:
            terminal.say(
                f'caption "{" ".join(text.split()[:_SHOWN_WORDS])} ..." has {words:,} words, and a '
                f"model that was trained with caption.max_tokens = {max_tokens} reads no more"
            )


def _judge(client: "Client", paths: list[Path], captions: list[str]) -> _Judged:
    import numpy as np

    from serving.search import encoding

    with show_progress("Encoding captions", len(captions)) as done:
        texts = encoding.encode_captions(client, captions, done)
    with show_progress("Encoding pictures", len(paths)) as done:
        encoded = encoding.encode_all(client, paths, texts.shape[1], done)
    probabilities = np.empty((len(paths), len(captions)), np.float32)
    block = max(1, _BLOCK // len(captions))
    with show_progress("Comparing", len(paths)) as done:
        for start in range(0, len(paths), block):
            images = encoded.embeddings[start : start + block]
            probabilities[start : start + block] = client.score_all(images, texts)
            done(start + len(images))
    has_words = encoding.is_judged(texts)
    return _Judged(encoded.paths, encoded.reasons, captions, has_words, probabilities)


def _tell_unjudged(judged: _Judged) -> None:
    from serving.search.pictures import shown

    for path, reason in judged.reasons.items():
        terminal.say(f"cannot be judged: {shown(path)} ({reason})")
    for text, has_words in zip(judged.captions, judged.has_words, strict=True):
        if not has_words:
            terminal.say(f'cannot be judged: caption "{text}" ({_NO_WORD})')


def _pairs(judged: _Judged, threshold: float) -> Iterator[_Pair]:
    """Every picture with every caption, picture by picture."""
    for path, row in zip(judged.paths, judged.probabilities, strict=True):
        for text, has_words, value in zip(judged.captions, judged.has_words, row, strict=True):
            no_word = None if has_words else f"the caption {_NO_WORD}"
            reason = judged.reasons.get(path, no_word)
            found = None if reason else float(value)
            match = None if found is None else found >= threshold
            yield _Pair(str(path), text, found, match, reason)


def _print_json(pairs: Iterator[_Pair]) -> int:
    unjudged = 0
    for pair in pairs:
        known = {key: value for key, value in pair._asdict().items() if key != "reason"}
        print(json.dumps({**known, **({"reason": pair.reason} if pair.reason else {})}))
        unjudged += pair.reason is not None
    return unjudged


def _print_csv(pairs: Iterator[_Pair]) -> int:
    from serving.search.pictures import shown

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_Pair._fields)
    unjudged = 0
    for pair in pairs:
        match = {True: "yes", False: "no", None: ""}[pair.match]
        writer.writerow((shown(pair.picture), pair.caption, pair.probability, match, pair.reason))
        unjudged += pair.reason is not None
    return unjudged


def _print_table(pairs: Iterator[_Pair]) -> int:
    from serving.search.pictures import shown

    table = terminal.table("picture", "caption", "probability>", "verdict")
    unjudged = 0
    for pair in pairs:
        probability = "-" if pair.probability is None else f"{pair.probability:.1%}"
        verdict = {True: "match", False: "no match", None: "cannot be judged"}[pair.match]
        table.add_row(Text(shown(pair.picture)), Text(pair.caption), probability, verdict)
        unjudged += pair.reason is not None
    terminal.output.print(table)
    return unjudged

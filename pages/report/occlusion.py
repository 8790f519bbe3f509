"""Where the model looks and which words count: what the score loses when a part is hidden.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from modules.export.scoring import Scorer
from pages.report import inline_data
from pages.report.examples import Example

CELLS = 8
"""The picture is divided into so many by so many."""
_SIDE = 192
"""Pixels, the longer side of the picture that is asked about."""
_GREY = (128, 128, 128)
_MOST_WORDS = 60
_FAINT = 0.05
"""A lesser drop of the score never has the full colour, so that noise does not look strong."""
_WORD = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True)
class Cell:
    """A part of a picture.

    Attributes:
      box: left, upper, right and lower edge, in pixels.
      drop: what the score loses without it; negative if it gains.
      weight: the drop from -1 to 1, relative to the strongest part, or to `_FAINT` if none is so
        strong.
    """

    box: tuple[int, int, int, int]
    drop: float
    weight: float


@dataclass(frozen=True)
class Word:
    """A word of a caption, or what is between two.

    Attributes:
      text: as it stands there.
      drop: as of a `Cell`.
      weight: as of a `Cell`; 0 for what is no word.
    """

    text: str
    drop: float
    weight: float


@dataclass(frozen=True)
class Occlusion:
    """A pair, and what its score loses when a part of the picture or a word is hidden.

    Attributes:
      example: the pair.
      picture: JPEG as a data URI.
      width: of the picture, in pixels.
      height: of the picture, in pixels.
      cells: of the picture; empty if it cannot be decoded.
      words: of the caption with all that is between them, in order; what is no word, or beyond the
        first ones, drops nothing.
    """

    example: Example
    picture: str
    width: int
    height: int
    cells: tuple[Cell, ...]
    words: tuple[Word, ...]


def occlude_pairs(
    shown: Sequence[Example], contents: Mapping[str, bytes], scorer: Scorer
) -> tuple[Occlusion, ...]:
    """Measures what the score of each pair loses when a part of it is hidden.

    Args:
      shown: the pairs.
      contents: encoded pictures by key.
      scorer: of the SavedModel.
    """
    found = (_occlude(each, contents.get(each.picture, b""), scorer) for each in shown)
    return tuple(each for each in found if each is not None)


def _occlude(example: Example, content: bytes, scorer: Scorer) -> Occlusion | None:
    image = inline_data.open_picture(content, _SIDE)
    if image is None:
        return None
    boxes = _boxes(image.size)
    pictures = [_png(image), *(_png(_without(image, box)) for box in boxes)]
    spans = list(_WORD.finditer(example.caption))[:_MOST_WORDS]
    texts = [
        example.caption,
        *(example.caption[: at.start()] + " " + example.caption[at.end() :] for at in spans),
    ]
    images = scorer.images(pictures)
    captions = scorer.captions(text.encode("utf-8", "replace") for text in texts)
    by_cell = scorer.pairs(images, np.repeat(captions[:1], len(images), 0))
    by_word = scorer.pairs(np.repeat(images[:1], len(captions), 0), captions)
    return Occlusion(
        example=example,
        picture=inline_data.data_uri(content, _SIDE),
        width=image.width,
        height=image.height,
        cells=tuple(map(Cell, boxes, *_weighed(by_cell[0] - by_cell[1:]))),
        words=tuple(_with_gaps(example.caption, spans, by_word[0] - by_word[1:])),
    )


def _boxes(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """The cells of a picture, row by row; a small one has fewer."""
    columns, rows = (min(CELLS, side) for side in size)
    x = np.linspace(0, size[0], columns + 1).round().astype(int).tolist()
    y = np.linspace(0, size[1], rows + 1).round().astype(int).tolist()
    return [
        (x[column], y[row], x[column + 1], y[row + 1])
        for row in range(rows)
        for column in range(columns)
    ]


def _without(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    hidden = image.copy()
    hidden.paste(_GREY, box)
    return hidden


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _weighed(drops: np.ndarray) -> tuple[list[float], list[float]]:
    """The drops, and their weights."""
    strongest = float(np.abs(drops).max(initial=_FAINT))
    return drops.tolist(), (drops / strongest).tolist()


def _with_gaps(caption: str, spans: Sequence[re.Match[str]], drops: np.ndarray) -> list[Word]:
    made: list[Word] = []
    end = 0
    for at, drop, weight in zip(spans, *_weighed(drops), strict=True):
        made += [Word(caption[end : at.start()], 0.0, 0.0), Word(at.group(), drop, weight)]
        end = at.end()
    return [*made, Word(caption[end:], 0.0, 0.0)]

"""Where the model looks and which words count: what a score loses when a part is hidden.

Here is what is hidden and what the scores then mean; whoever has the model asks it in between.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
"""

import io
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pages.pictures import open_picture

CELLS = 8
"""The picture is divided into so many by so many."""
SIDE = 192
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
class HiddenCells:
    """A picture, and the same with one part hidden after the other.

    Attributes:
      width: of the picture, in pixels.
      height: of the picture, in pixels.
      boxes: N parts, row by row.
      contents: N + 1 encoded pictures: the whole one, then for each part the one without it.
    """

    width: int
    height: int
    boxes: tuple[tuple[int, int, int, int], ...]
    contents: tuple[bytes, ...]

    def cells(self, scores: np.ndarray) -> tuple[Cell, ...]:
        """The parts, weighed by the scores of `contents`, float32 [N + 1]."""
        return tuple(map(Cell, self.boxes, *_weighed(scores[0] - scores[1:])))


@dataclass(frozen=True)
class HiddenWords:
    """A caption, and the same with one word left out after the other.

    Attributes:
      caption: its text.
      spans: N words of it, each from one character to another; what is beyond the first ones is
        never left out.
      texts: N + 1 captions: the whole one, then for each word the one without it.
    """

    caption: str
    spans: tuple[tuple[int, int], ...]
    texts: tuple[str, ...]

    def words(self, scores: np.ndarray) -> tuple[Word, ...]:
        """The caption in parts, weighed by the scores of `texts`, float32 [N + 1]."""
        made: list[Word] = []
        before = 0
        weighed = _weighed(scores[0] - scores[1:])
        for (start, end), drop, weight in zip(self.spans, *weighed, strict=True):
            made += [
                Word(self.caption[before:start], 0.0, 0.0),
                Word(self.caption[start:end], drop, weight),
            ]
            before = end
        return (*made, Word(self.caption[before:], 0.0, 0.0))


def hide_cells(content: bytes) -> HiddenCells | None:
    """A picture with its parts hidden; None if it cannot be decoded."""
    image = open_picture(content, SIDE)
    if image is None:
        return None
    boxes = _boxes(image.size)
    contents = (_png(image), *(_png(_without(image, box)) for box in boxes))
    return HiddenCells(image.width, image.height, tuple(boxes), contents)


def hide_words(caption: str) -> HiddenWords:
    """A caption with its words left out."""
    spans = tuple(at.span() for at in _WORD.finditer(caption))[:_MOST_WORDS]
    without = (f"{caption[:start]} {caption[end:]}" for start, end in spans)
    return HiddenWords(caption, spans, (caption, *without))


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

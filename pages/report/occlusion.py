"""Where the model looks and which words count, for a few pairs of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modules.export.scoring import Scorer
from pages.occlusion import SIDE, Cell, Word, hide_cells, hide_words
from pages.report import inline_data
from pages.report.examples import Example


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
    hidden = hide_cells(content)
    if hidden is None:
        return None
    left_out = hide_words(example.caption)
    images = scorer.images(hidden.contents)
    captions = scorer.captions(text.encode("utf-8", "replace") for text in left_out.texts)
    return Occlusion(
        example=example,
        picture=inline_data.data_uri(content, SIDE),
        width=hidden.width,
        height=hidden.height,
        cells=hidden.cells(scorer.pairs(images, np.repeat(captions[:1], len(images), 0))),
        words=left_out.words(scorer.pairs(np.repeat(images[:1], len(captions), 0), captions)),
    )

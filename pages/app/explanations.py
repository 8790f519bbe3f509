"""Which words, and which part of a picture, carry an answer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.errors import DexmatchError
from pages.app.model import Answer, Model
from pages.app.pictures import Picture
from pages.app.recent import Recent
from pages.occlusion import Cell, HiddenCells, Word, hide_cells, hide_words
from serving.client.base import Floats

_AT_ONCE = 16
"""Pictures in a request; in between, one may find that nobody waits any more."""
_KEPT = 8


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Explanation:
    """What an answer loses when a part is hidden.

    Attributes:
      width: of the picture that was asked about, in pixels.
      height: likewise.
      cells: its parts.
      words: the caption, with all that is between its words.
    """

    width: int
    height: int
    cells: tuple[Cell, ...]
    words: tuple[Word, ...]


class Explanations:
    """Hides parts, and remembers what the model makes of the pictures without them.

    Args:
      model: is asked.
    """

    def __init__(self, model: Model):
        self._model = model
        self._encoded: Recent[tuple[HiddenCells, Floats]] = Recent(_KEPT)

    def explain(
        self, picture: Picture, caption: str, is_abandoned: Callable[[], bool]
    ) -> Answer[Explanation]:
        """Asks the model about a pair with its parts hidden.

        Args:
          picture: its parts are encoded once, whatever the number of captions.
          caption: its words are left out one by one.
          is_abandoned: is asked between two requests to the model.

        Raises:
          Abandoned: nobody waits any more.
          DexmatchError: the model cannot be asked.
        """
        client = self._model.client

        def work(version: int) -> Explanation:
            hidden, images = self._encode(picture, version, is_abandoned)
            left_out = hide_words(caption)
            captions = client.encode_captions(left_out.texts)
            by_cell = client.score_embeddings(images, np.repeat(captions[:1], len(images), 0))
            by_word = client.score_embeddings(np.repeat(images[:1], len(captions), 0), captions)
            return Explanation(
                hidden.width, hidden.height, hidden.cells(by_cell), left_out.words(by_word)
            )

        return self._model.ask(work)

    def _encode(
        self, picture: Picture, version: int, is_abandoned: Callable[[], bool]
    ) -> tuple[HiddenCells, Floats]:
        """The picture with its parts hidden, and the embeddings, float32 [N + 1, D]."""
        key = (version, picture.id)
        found = self._encoded.get(key)
        if found is None:
            if is_abandoned():
                raise Abandoned
            hidden = hide_cells(picture.content)
            if hidden is None:
                raise DexmatchError("the parts of this picture cannot be hidden")
            encoded = []
            for start in range(0, len(hidden.contents), _AT_ONCE):
                if is_abandoned():
                    raise Abandoned
                encoded.append(
                    self._model.client.encode_images(hidden.contents[start : start + _AT_ONCE])
                )
            found = hidden, np.concatenate(encoded)
            self._encoded.put(key, found)
        return found

"""A list of captions to choose from."""

import threading
from collections.abc import Sequence

from pages.app.model import Answer, Model
from pages.app.pictures import Picture
from serving.client.base import Floats
from serving.search.encoding import encode_captions, is_judged
from serving.search.ranking import best

_TOP = 8


class Tags:
    """Captions, encoded when they are first needed.

    Args:
      captions: texts, each once.
      model: encodes.
    """

    def __init__(self, captions: Sequence[str], model: Model):
        self.captions = captions
        self._model = model
        self._encoded: tuple[int, Floats] | None = None
        self._lock = threading.Lock()

    def best(self, picture: Picture) -> Answer[list[tuple[str, float]]]:
        """The captions that describe a picture best, with probabilities.

        Raises:
          DexmatchError: the model cannot be asked.
        """

        def work(version: int) -> list[tuple[str, float]]:
            image = self._model.encode(picture, version)
            texts = self._texts(version)
            judged = is_judged(texts).nonzero()[0]
            probabilities = self._model.client.score_all(image, texts[judged])[0]
            return [
                (self.captions[judged[at]], float(probabilities[at]))
                for at in best(probabilities, _TOP)
            ]

        return self._model.ask(work)

    def _texts(self, version: int) -> Floats:
        with self._lock:
            if self._encoded is None or self._encoded[0] != version:
                texts = encode_captions(self._model.client, self.captions, lambda _: None)
                self._encoded = version, texts
            return self._encoded[1]

"""The model that the page asks: one version at a time, however many ask at once."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.errors import DexmatchError
from pages.app.pictures import Picture
from pages.app.recent import Recent
from serving.client import Client, ModelNotFound
from serving.client.base import Floats
from serving.search.encoding import NOT_DECODED, is_judged

_Result = TypeVar("_Result")

_ATTEMPTS = 4
_KEPT_EMBEDDINGS = 256


@dataclass(frozen=True)
class Answer(Generic[_Result]):
    """What one version of the model said.

    Attributes:
      value: the answer.
      version: of the model.
      milliseconds: from the question to the answer, in this process.
    """

    value: _Result
    version: int
    milliseconds: float


class Model:
    """Asks a client, and turns to the version that answers when the one before is unloaded.

    Args:
      client: of any server; it is pinned here.

    Raises:
      ClientError: no version answers.
    """

    def __init__(self, client: Client):
        self.client = client
        self.version = client.pin()
        self._lock = threading.Lock()
        self._embeddings: Recent[Floats] = Recent(_KEPT_EMBEDDINGS)

    def ask(self, work: Callable[[int], _Result]) -> Answer[_Result]:
        """Does work that takes several requests with one version of the model.

        Args:
          work: is given the version, and asks `client`; may be done several times.

        Raises:
          DexmatchError: the version was changed again and again, or what the work raises.
        """
        for _ in range(_ATTEMPTS):
            version, start = self.version, time.perf_counter()
            try:
                value = work(version)
            except ModelNotFound:
                if self._turn(version) == version:
                    raise
            except DexmatchError:
                # Embeddings of two versions were mixed, if another thread has turned meanwhile.
                if self.version == version:
                    raise
            else:
                if self.version == version:
                    return Answer(value, version, 1000 * (time.perf_counter() - start))
        raise DexmatchError(f"{self.client.where}: the served version keeps changing; try again")

    def _turn(self, version: int) -> int:
        """Turns to the version that answers now, unless another thread has done so."""
        with self._lock:
            if self.version == version:
                self.version = self.client.pin()
            return self.version

    def encode(self, picture: Picture, version: int) -> Floats:
        """The embedding of a picture, float32 [1, D], for work that is done by `ask`.

        Raises:
          DexmatchError: the model cannot decode it.
        """
        key = (version, picture.id)
        found = self._embeddings.get(key)
        if found is None:
            found = self.client.encode_images([picture.content])
            if not is_judged(found)[0]:
                raise DexmatchError(f"the picture cannot be judged: {NOT_DECODED}")
            self._embeddings.put(key, found)
        return found

    def score(self, picture: Picture, captions: list[str]) -> Answer[list[float | None]]:
        """Probabilities that captions describe a picture; None for those without a word."""

        def work(version: int) -> list[float | None]:
            image = self.encode(picture, version)
            texts = self.client.encode_captions(captions)
            probabilities = self.client.score_all(image, texts)[0].tolist()
            return [
                value if judged else None
                for value, judged in zip(probabilities, is_judged(texts), strict=True)
            ]

        return self.ask(work)

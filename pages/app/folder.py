"""A folder of pictures to search, encoded while the page is used already."""

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import DexmatchError
from pages.app.messages import Refused
from pages.app.model import Answer, Model
from pages.app.pictures import Picture
from serving.search.index import Changes, Hit, Index

_AT_ONCE = 32
"""Pictures that are encoded before they can be found."""
_PAUSE_S = 5.0
"""Before a model that did not answer is asked again."""


@dataclass(frozen=True)
class Found:
    """Pictures of the folder, the best first.

    Attributes:
      hits: id of each picture, and the picture.
      encoded: number of pictures that were searched.
    """

    hits: list[tuple[str, Hit]]
    encoded: int


class Folder:
    """The pictures below a folder, searched by what the model makes of them.

    Args:
      path: the folder.
      pictures: all picture files in it.
      file: where the index is kept; None for nowhere.
      kept: the index that is there.
      model: encodes.
    """

    def __init__(
        self,
        path: Path,
        pictures: Sequence[Path],
        file: Path | None,
        kept: Index | None,
        model: Model,
    ):
        self.path = path
        self.total = len(pictures)
        self.problem = ""
        """Why not all is encoded, or kept; empty if nothing is wrong."""
        self._pictures = pictures
        self._file = file
        self._model = model
        self._paths = {_id(each.relative_to(path)): each for each in pictures}
        self._index = self._saved = kept
        self._version: int | None = None
        """That the index is of; None until the index that was kept is known to be of this model."""
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def encoded(self) -> int:
        """Number of pictures that can be found."""
        return len(self._index.stamps) if self._index and self._version is not None else 0

    @property
    def unjudged(self) -> int:
        """Number of pictures that the model cannot judge."""
        return len(self._index.reasons) if self._index and self._version is not None else 0

    def start(self) -> None:
        """Encodes what is not encoded yet, in a thread; does nothing while that runs."""
        with self._lock:
            if not (self._stop.is_set() or (self._thread and self._thread.is_alive())):
                self._thread = threading.Thread(target=self._work, name="index", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Ends the thread once the pictures under way are encoded, and keeps what there is."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def path_of(self, picture_id: str) -> Path:
        """The file of a picture.

        Raises:
          Refused: there is none of this id.
        """
        path = self._paths.get(picture_id)
        if path is None:
            raise Refused("no such picture in the folder", 404)
        return path

    def search(self, caption: str, top: int) -> Answer[Found]:
        """The pictures that a caption describes best, with probabilities."""

        def work(version: int) -> Found:
            index = self._of(version)
            query = self._model.client.encode_captions([caption])[0]
            return self._found(index, index.search(self._model.client, query, top))

        return self._model.ask(work)

    def alike(self, picture: Picture, top: int) -> Answer[Found]:
        """The pictures whose embeddings are closest in angle, with the cosine as "probability"."""

        def work(version: int) -> Found:
            index = self._of(version)
            query = self._model.encode(picture, version)[0]
            return self._found(index, index.alike(query, top))

        return self._model.ask(work)

    def _found(self, index: Index, hits: list[Hit]) -> Found:
        listed = [(_id(hit.path.relative_to(self.path)), hit) for hit in hits]
        return Found([each for each in listed if each[0] in self._paths], len(index.stamps))

    def _of(self, version: int) -> Index:
        """What is encoded by a version; starts with it if it is a new one."""
        index = self._index
        if index is None or self._version != version:
            self.start()
            width = index.probe.shape[1] if index else 1
            none = np.zeros((0, width), np.float32)
            return Index(self.path, none, version, {}, none, {})
        return index

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self._model.ask(self._encode)
            except DexmatchError as error:
                self.problem = str(error)
                self._stop.wait(_PAUSE_S)
            else:
                self.problem = ""
                break
            finally:
                self._save()

    def _encode(self, version: int) -> None:
        """Brings the index to the pictures that are there now, and to this version."""
        fresh = Index.empty(self.path, self._model.client)
        index = self._index
        if index is None or not index.is_of_same_model(fresh):
            index = fresh
        changes = index.compare(self._pictures)
        if changes.gone or len(changes.kept) < len(index.stamps):
            index = self._extended(index, changes, changes.kept, ())
        self._index, self._version = index, version
        for start in range(0, len(changes.missing), _AT_ONCE):
            if self._stop.is_set():
                return
            part = changes.missing[start : start + _AT_ONCE]
            index = self._extended(index, changes, list(index.stamps), part)
            if self._model.version != version:
                return  # These may be another version's already; it is begun anew with that one.
            self._index = index

    def _extended(
        self, index: Index, changes: Changes, kept: Sequence[str], missing: Sequence[str]
    ) -> Index:
        """Another index: whoever searches the one before is not disturbed."""
        made = replace(index)
        made.update(self._model.client, Changes(changes.stamps, kept, missing, 0), lambda _: None)
        return made

    def _save(self) -> None:
        index = self._index
        if self._file and index and index is not self._saved:
            try:
                index.save(self._file)
                self._saved = index
            except OSError as error:
                self.problem = f"{self._file}: the index cannot be kept ({error.strerror})"


def _id(name: Path) -> str:
    """Of a picture, by its path in the folder, whatever bytes that is made of."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:32]

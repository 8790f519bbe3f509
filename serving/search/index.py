"""The embeddings of a folder's pictures, kept in a file.

Paths are relative to the folder, so both may be moved together.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.matcher import MatcherWeights
from serving.client import Client
from serving.client.base import Floats
from serving.search import index_file
from serving.search.encoding import encode_files, is_judged
from serving.search.ranking import Gallery, Ranking, Rows, best

DEFAULT_NAME = ".dexmatch-index.npz"
_FORMAT = "dexmatch-index/1"
_SAME_MODEL = 1e-3
"""How far apart, as a share of their length, two embeddings of one picture by the same model may
be. Other processors and batches change the sixth digit; another training changes the first."""
_ANY_CAPTION = "a"

_COMPARED = 64
"""Pictures by which a ranking is compared with the model, before it is trusted."""
_SAME_PROBABILITY = 1e-4
_SCORED_AT_ONCE = 65_536
"""Pictures, in calls that have a deadline each."""

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in ns; as long as both stay, so does the picture."""


@dataclass(frozen=True)
class Hit:
    """A picture that was found.

    Attributes:
      path: the file.
      probability: that the caption describes it.
    """

    path: Path
    probability: float


@dataclass(frozen=True)
class Changes:
    """How a folder differs from its index.

    Attributes:
      stamps: relative path to size and time of each picture that is there now.
      kept: pictures whose embeddings are in the index.
      missing: pictures that are new or have changed.
      gone: number of pictures in the index that are there no more.
    """

    stamps: Mapping[str, Stamp]
    kept: Sequence[str]
    missing: Sequence[str]
    gone: int


@dataclass
class _LaidOut:
    """What is computed once for many searches.

    Attributes:
      gallery: the embeddings.
      names: of the pictures.
      weights: that the ranking is by; None if none was made yet.
      ranking: None if it does not agree with the model.
    """

    gallery: Gallery
    names: Sequence[str]
    weights: MatcherWeights | None = None
    ranking: Ranking | None = None


@dataclass
class Index:
    """The embeddings of the pictures in a folder.

    Attributes:
      folder: the folder.
      probe: float32 [P, D], what the model makes of `probes()`: tells it from other models,
        wherever it runs and whatever its version is called.
      version: of the model, for people.
      stamps: relative path to size and time of each picture; the rows of `embeddings`, in order.
      embeddings: float32 [N, D], zeros for pictures that cannot be judged.
      reasons: relative path to why, for those that cannot.
    """

    folder: Path
    probe: Floats
    version: int
    stamps: dict[str, Stamp]
    embeddings: Floats
    reasons: dict[str, str]
    _kept: "_LaidOut | None" = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def empty(cls, folder: Path, client: Client) -> "Index":
        """An index without pictures, for this model.

        All that a search asks of the model is asked here once: TensorFlow takes up to half a second
        for the first call of each signature, and that is not for the first search to pay.
        """
        with ThreadPoolExecutor() as pool:
            warmed = pool.submit(_warm_up, client)
            probe = client.encode_images(probes())
            warmed.result()
        none = np.zeros((0, probe.shape[1]), np.float32)
        return cls(folder, probe, client.version(), {}, none, {})

    def is_of_same_model(self, other: "Index") -> bool:
        """Whether the pictures of both were encoded alike."""
        if self.probe.shape != other.probe.shape:
            return False
        distance = np.linalg.norm(self.probe - other.probe, axis=1)
        return bool(np.all(distance <= _SAME_MODEL * np.linalg.norm(other.probe, axis=1)))

    def compare(self, paths: Iterable[Path]) -> Changes:
        """What it takes to make this an index of these pictures in the folder."""
        now = {str(path.relative_to(self.folder)): _stamp(path) for path in paths}
        kept = [name for name, stamp in self.stamps.items() if now.get(name) == stamp]
        missing = sorted(now.keys() - set(kept))
        return Changes(now, kept, missing, len(self.stamps.keys() - now.keys()))

    def update(self, client: Client, changes: Changes, on_progress: Callable[[int], None]) -> None:
        """Encodes what is missing, and drops what is gone.

        If it is interrupted, what was encoded until then stays.

        Args:
          client: the model that the index is of.
          changes: from `compare`.
          on_progress: is told how many pictures are encoded.
        """
        rows = {name: row for row, name in enumerate(self.stamps)}
        embeddings = [self.embeddings[[rows[name] for name in changes.kept]]]
        stamps = {name: self.stamps[name] for name in changes.kept}
        reasons = {name: self.reasons[name] for name in changes.kept if name in self.reasons}
        missing = [self.folder / name for name in changes.missing]
        try:
            for part in encode_files(client, missing, self.probe.shape[1]):
                names = [str(path.relative_to(self.folder)) for path in part.paths]
                embeddings.append(part.embeddings)
                stamps.update((name, changes.stamps[name]) for name in names)
                for path, reason in part.reasons.items():
                    reasons[str(path.relative_to(self.folder))] = reason
                on_progress(len(stamps) - len(changes.kept))
        finally:
            self.stamps, self.reasons = stamps, reasons
            self.embeddings = np.concatenate(embeddings)

    def search(self, client: Client, caption: Floats, top: int) -> list[Hit]:
        """The pictures that a caption describes best.

        Where the client tells the matcher's weights, the pictures are ranked by them, with the
        probabilities that `Client.score_embeddings` gives; else the model scores them all.

        Args:
          client: the model that the index is of.
          caption: float32 [D], from `Client.encode_captions`.
          top: the most pictures to return.

        Returns:
          The best first; pictures that cannot be judged are left out.
        """
        if not self.stamps:
            return []
        ranking = self._ranking(client, caption) if caption.any() else None
        if ranking is None:
            return self.search_all(client, caption, top)
        return self._hits(*ranking.best(caption, top))

    def search_all(self, client: Client, caption: Floats, top: int) -> list[Hit]:
        """As `search`, each picture scored by the model."""
        probabilities = np.zeros(len(self.embeddings), np.float32)
        for start in range(0, len(self.embeddings), _SCORED_AT_ONCE):
            part = slice(start, start + _SCORED_AT_ONCE)
            scored = client.score_all(self.embeddings[part], caption[np.newaxis])
            probabilities[part] = scored[:, 0]
        probabilities[self._laid_out().gallery.unjudged] = -1.0
        rows = best(probabilities, top)
        rows = rows[probabilities[rows] >= 0]
        return self._hits(rows, probabilities[rows])

    def alike(self, picture: Floats, top: int) -> list[Hit]:
        """The pictures whose embeddings are closest in angle, with the cosine as "probability".

        Args:
          picture: float32 [D], from `Client.encode_images`.
          top: the most pictures to return.

        Returns:
          The closest first; pictures that cannot be judged are left out.
        """
        cosines = self._laid_out().gallery.cosines(picture)
        rows = best(cosines, top)
        rows = rows[np.isfinite(cosines[rows])]
        return self._hits(rows, cosines[rows])

    def _laid_out(self) -> "_LaidOut":
        """What was computed of the pictures that are there, kept until there are others."""
        kept = self._kept
        if kept is None or kept.gallery.embeddings is not self.embeddings:
            kept = self._kept = _LaidOut(Gallery(self.embeddings), list(self.stamps))
        return kept

    def _ranking(self, client: Client, caption: Floats) -> Ranking | None:
        """None if pictures must be scored by the model itself."""
        weights = client.matcher_weights()
        if weights is None:
            return None
        laid_out = self._laid_out()
        if laid_out.weights is not weights:
            ranking = Ranking(laid_out.gallery, weights)
            agrees = self._agrees(client, ranking, caption)
            laid_out.ranking, laid_out.weights = ranking if agrees else None, weights
        return laid_out.ranking

    def _agrees(self, client: Client, ranking: Ranking, caption: Floats) -> bool:
        """Whether a ranking gives some pictures the probabilities that the model gives them."""
        rows = np.linspace(0, len(self.embeddings) - 1, _COMPARED).astype(int)
        rows = rows[is_judged(self.embeddings[rows])]
        told = client.score_all(self.embeddings[rows], caption[np.newaxis])[:, 0]
        found = ranking.probabilities(caption, rows)
        return np.allclose(told, found, rtol=0, atol=_SAME_PROBABILITY)

    def _hits(self, rows: Rows, values: Floats) -> list[Hit]:
        names = self._laid_out().names
        return [
            Hit(self.folder / names[row], value)
            for row, value in zip(rows.tolist(), values.tolist(), strict=True)
        ]

    def save(self, path: Path) -> None:
        """Writes the index, whole or not at all.

        Raises:
          OSError: it cannot be written there.
        """
        manifest = {
            "format": _FORMAT,
            "version": self.version,
            "probe": self.probe.tolist(),
            "pictures": [[name, *stamp] for name, stamp in self.stamps.items()],
            "reasons": self.reasons,
        }
        index_file.write(path, self.embeddings, manifest)

    @classmethod
    def load(cls, path: Path, folder: Path) -> "Index":
        """Reads an index.

        Args:
          path: the file.
          folder: where its pictures are.

        Raises:
          DexmatchError: the file is no index, or is damaged.
          FileNotFoundError: there is none.
        """
        return index_file.read(path, lambda *parts: cls._of(folder, *parts))

    @classmethod
    def _of(cls, folder: Path, embeddings: Floats, manifest: Mapping[str, Any]) -> "Index":
        if manifest["format"] != _FORMAT:
            raise ValueError(manifest["format"])
        stamps = {str(name): (int(size), int(time)) for name, size, time in manifest["pictures"]}
        probe = np.asarray(manifest["probe"], np.float32)
        is_whole = probe.ndim == 2 and embeddings.shape == (len(stamps), probe.shape[1])
        if not is_whole or not np.isfinite(embeddings).all():
            raise ValueError("embeddings")
        listed = manifest["reasons"].items()
        reasons = {name: str(reason) for name, reason in listed if name in stamps}
        return cls(folder, probe, int(manifest["version"]), stamps, embeddings, reasons)


def probes() -> list[bytes]:
    """Two pictures that are the same always and everywhere: noise, and colours that change."""
    # NumPy's random numbers may change from one release to the next; multiplying stays.
    numbers = np.arange(64 * 64 * 3, dtype=np.uint32) * np.uint32(2654435761)
    noise = (numbers >> 24).astype(np.uint8).reshape(64, 64, 3)
    steps = np.arange(64, dtype=np.uint8) * 4
    colours = np.stack(np.broadcast_arrays(steps, steps[:, None], steps[::-1]), axis=-1)
    contents = []
    for pixels in (noise, colours):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        contents.append(file.getvalue())
    return contents


def _warm_up(client: Client) -> None:
    caption = client.encode_captions([_ANY_CAPTION])
    client.score_embeddings(caption, caption)


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        # A link that leads nowhere, or a file gone since it was found; reading it will say so.
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)

"""The test split's pairs with what the model says of each."""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core import features, reporting
from data import pair_examples
from data.pair_examples import first_bytes, values_as_bytes
from modules.export import scoring
from modules.export.scoring import Scorer
from pages.report import inline_data

MOST_PAIRS = 20_000
"""Of a split with more, so many are drawn: memory, time and the page stay within bounds."""

_BEYOND_ALL = b"\xff" * 33
"""A lot that none comes up to."""


@dataclass(frozen=True)
class Pairs:
    """The pairs of a split, N of them with P distinct pictures and C distinct captions.

    Attributes:
      files: gzipped TFRecords that they come from.
      ids: of the pairs that the pictures come from.
      caption_ids: of the pairs that the captions come from; empty for one of its own.
      kinds: `MATCHED`, `RANDOM` or `HARD`.
      labels: uint8 [N].
      scores: float32 [N]; 0 where a pair cannot be judged.
      picture: int64 [N], which picture.
      caption: int64 [N], which caption.
      pictures: keys of the pictures, see `inline_data.picture_key`.
      captions: texts.
      picture_embeddings: float32 [P, D].
      caption_embeddings: float32 [C, D].
      columns: column to the values of each pair, as the Evaluator names them.
      of_pairs: how many the split holds, of which these are drawn.
    """

    files: Sequence[str]
    ids: Sequence[str]
    caption_ids: Sequence[str]
    kinds: Sequence[str]
    labels: np.ndarray
    scores: np.ndarray
    picture: np.ndarray
    caption: np.ndarray
    pictures: Sequence[str]
    captions: Sequence[str]
    picture_embeddings: np.ndarray
    caption_embeddings: np.ndarray
    columns: Mapping[str, Sequence[tuple[str, ...]]]
    of_pairs: int

    def members(self, parts: Iterable[tuple[str, str]]) -> np.ndarray:
        """bool [N], which pairs are in a slice.

        Args:
          parts: (column, value) pairs; without any, all are.
        """
        inside = np.ones(len(self.ids), bool)
        for column, value in parts:
            of_pair = self.columns.get(column, [()] * len(self.ids))
            inside &= np.array([value in values for values in of_pair], bool)
        return inside

    def load_pictures(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The encoded content of some of the pictures, by their keys."""
        wanted = set(keys)
        found: dict[str, bytes] = {}
        for example in pair_examples.read_examples(self.files):
            content = first_bytes(example, features.IMAGE)
            key = inline_data.picture_key(content)
            if key in wanted:
                found.setdefault(key, content)
                if len(found) == len(wanted):
                    break
        return found


def read_scored_pairs(
    folder: str, scorer: Scorer, columns: Iterable[str], most: int = MOST_PAIRS
) -> Pairs:
    """Reads the pairs of a split, and scores them.

    Every distinct picture and caption is encoded once. Of too many pairs some are drawn by lot of
    their ids, the same ones in every report of a data set; a picture is there with all its captions
    or with none.

    Args:
      folder: of the split.
      scorer: of the SavedModel.
      columns: features that slices are made by.
      most: pairs, negatives included.
    """
    files = pair_examples.split_files(folder)
    end, of_pairs = _end_of_draw(files, most)
    columns = list(columns)
    pictures = _Encoder(scorer.images, features.IMAGE)
    captions = _Encoder(scorer.captions, features.CAPTION)
    texts: list[bytes] = []
    rows = []
    for example in pair_examples.read_examples(files):
        if _lot(example) >= end:
            continue
        text = first_bytes(example, features.CAPTION)
        position = captions.add(text, text)
        if position == len(texts):
            texts.append(text)
        content = first_bytes(example, features.IMAGE)
        rows.append(
            _Row(
                pair_id=_text(first_bytes(example, features.ID)),
                kind=_text(first_bytes(example, features.PAIR_KIND)),
                caption_id=_text(first_bytes(example, features.CAPTION_ID)),
                label=pair_examples.label(example),
                picture=pictures.add(inline_data.picture_key(content).encode(), content),
                caption=position,
                # As the Evaluator writes them in a slice's name.
                values=tuple(
                    tuple(map(_text, values_as_bytes(example, column))) for column in columns
                ),
            )
        )
    picture_embeddings, caption_embeddings = pictures.finish(), captions.finish()
    # Beam promises no order.
    rows.sort(key=lambda row: (row.pair_id, row.kind, texts[row.caption]))
    picture = np.array([row.picture for row in rows], np.int64)
    caption = np.array([row.caption for row in rows], np.int64)
    return Pairs(
        files=files,
        ids=[row.pair_id for row in rows],
        caption_ids=[row.caption_id for row in rows],
        kinds=[row.kind for row in rows],
        labels=np.array([row.label for row in rows], np.uint8),
        scores=scorer.pairs(picture_embeddings[picture], caption_embeddings[caption]),
        picture=picture,
        caption=caption,
        pictures=[key.decode() for key in pictures.positions],
        captions=[_text(text) for text in texts],
        picture_embeddings=picture_embeddings,
        caption_embeddings=caption_embeddings,
        columns={column: [row.values[at] for row in rows] for at, column in enumerate(columns)},
        of_pairs=of_pairs,
    )


def _end_of_draw(files: Sequence[str], most: int) -> tuple[bytes, int]:
    """The first lot that is not drawn, and how many pairs there are."""
    count = 0

    def lots() -> Iterator[bytes]:
        nonlocal count
        for example in pair_examples.read_examples(files):
            count += 1
            yield _lot(example)

    first = heapq.nsmallest(most + 1, lots())
    return (first[most] if count > most else _BEYOND_ALL), count


def _lot(example: Any) -> bytes:
    return hashlib.sha256(first_bytes(example, features.ID)).digest()


@dataclass(frozen=True, slots=True)
class _Row:
    pair_id: str
    kind: str
    caption_id: str
    label: int
    picture: int
    caption: int
    values: tuple[tuple[str, ...], ...]


class _Encoder:
    """Encodes what is new; only a batch of contents is in memory."""

    def __init__(self, encode: Callable[[list[bytes]], np.ndarray], key: str):
        self._encode = encode
        self._key = key
        self._waiting: list[bytes] = []
        self._done: list[np.ndarray] = []
        self.positions: dict[bytes, int] = {}

    def add(self, name: bytes, content: bytes) -> int:
        """The position of a content in what `finish` returns."""
        if name not in self.positions:
            self.positions[name] = len(self.positions)
            self._waiting.append(content)
            if len(self._waiting) == scoring.ENCODED_AT_ONCE:
                self._flush()
        return self.positions[name]

    def finish(self) -> np.ndarray:
        """float32 [contents, D]."""
        if self._waiting:
            self._flush()
        return np.concatenate(self._done) if self._done else np.zeros((0, 1), np.float32)

    def _flush(self) -> None:
        self._done.append(self._encode(self._waiting))
        self._waiting = []
        reporting.report(f"encoding {self._key}s", len(self.positions), len(self.positions))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")

"""What the search finds: pictures for sampled captions, and captions for sampled pictures."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from modules.export.scoring import Scorer
from pages import sources
from pages.report.pairs import Pairs
from pages.sources import Sources
from results import retrieval
from results.ranking import rank_of_best
from results.retrieval import Retrieval

_QUERIES = 8
_TOP = 6


@dataclass(frozen=True)
class Hit:
    """An item that a search found, with its score.

    Attributes:
      picture: key of the picture; empty if a caption was found.
      caption: text; empty if a picture was found.
      score: what the model says of it with the query.
      is_right: whether a true pair joins it with the query.
    """

    picture: str
    caption: str
    score: float
    is_right: bool


@dataclass(frozen=True)
class Query:
    """A search for an image or a caption, with the best items that it found.

    Attributes:
      picture: key of the picture; empty if the query is a caption.
      caption: text; empty if the query is a picture.
      rank: of the best right item; halves come from ties.
      hits: the best first.
    """

    picture: str
    caption: str
    rank: float
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Searches:
    """The section on retrieval.

    Attributes:
      figures: RetrievalEvaluator's; None if the run has none.
      by_caption: pictures for captions.
      by_picture: captions for pictures.
      pictures: number of pictures that are searched.
      captions: number of captions that are searched.
    """

    figures: Retrieval | None
    by_caption: tuple[Query, ...]
    by_picture: tuple[Query, ...]
    pictures: int
    captions: int


def gather_searches(of: Sources, pairs: Pairs, scorer: Scorer) -> Searches:
    """Searches all pictures and all true captions of the split for a few of them.

    Args:
      of: the run.
      pairs: of the split.
      scorer: of the SavedModel.
    """
    true = np.flatnonzero(pairs.labels)
    joined = {(int(pairs.picture[at]), int(pairs.caption[at])) for at in true}
    pictures = sorted({picture for picture, _ in joined})
    captions = sorted({caption for _, caption in joined})

    def search(picture: int | None, caption: int | None) -> Query:
        items = pictures if picture is None else captions
        seen = pairs.picture_embeddings[pictures if picture is None else [picture] * len(items)]
        said = pairs.caption_embeddings[captions if caption is None else [caption] * len(items)]
        scores = scorer.pairs(seen, said)
        is_right = np.array(
            [((item, caption) if picture is None else (picture, item)) in joined for item in items],
            bool,
        )
        best = np.argsort(-scores, kind="stable")[:_TOP]
        return Query(
            picture="" if picture is None else pairs.pictures[picture],
            caption="" if caption is None else pairs.captions[caption],
            rank=rank_of_best(scores, is_right),
            hits=tuple(
                Hit(
                    picture=pairs.pictures[items[at]] if picture is None else "",
                    caption="" if picture is None else pairs.captions[items[at]],
                    score=float(scores[at]),
                    is_right=bool(is_right[at]),
                )
                for at in best
            ),
        )

    return Searches(
        figures=retrieval.load(of.uri(sources.RETRIEVAL))
        if sources.RETRIEVAL in of.artifacts
        else None,
        by_caption=tuple(
            search(None, at) for at in _drawn(captions, lambda at: pairs.captions[at])
        ),
        by_picture=tuple(
            search(at, None) for at in _drawn(pictures, lambda at: pairs.pictures[at])
        ),
        pictures=len(pictures),
        captions=len(captions),
    )


def _drawn(items: list[int], name: Any) -> list[int]:
    """A few, by lot of their content and so the same ones in every report of a data set."""

    def lot(item: int) -> bytes:
        return hashlib.sha256(name(item).encode("utf-8", "replace")).digest()

    return sorted(items, key=lot)[:_QUERIES]

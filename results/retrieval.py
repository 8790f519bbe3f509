"""RetrievalEvaluator's findings as plain figures.

Needs nothing but the standard library, so that printing them loads no TensorFlow.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "retrieval.json"
CUTOFFS = (1, 5, 10)


@dataclass(frozen=True)
class Ranking:
    """Recall and median rank of what belongs to the queries.

    Attributes:
      recall: one for each of `CUTOFFS`: share of the queries with a right item among so many.
      median_rank: of the best right item; 1 is the best, halves come from ties.
    """

    recall: tuple[float, ...]
    median_rank: float


@dataclass(frozen=True)
class Direction:
    """Retrieval in one direction, beside chance.

    Attributes:
      queries: number of distinct queries.
      items: number of distinct items that each of them searches.
      model: what the model reaches.
      chance: what a random order reaches on average.
    """

    queries: int
    items: int
    model: Ranking
    chance: Ranking


@dataclass(frozen=True)
class Retrieval:
    """The figures of RetrievalEvaluator, in both directions.

    Attributes:
      pairs: true pairs that were searched.
      of_pairs: true pairs in the split; more than `pairs` if some were drawn.
      caption_to_image: pictures are searched for each caption.
      image_to_caption: captions are searched for each picture.
    """

    pairs: int
    of_pairs: int
    caption_to_image: Direction
    image_to_caption: Direction

    def directions(self) -> dict[str, Direction]:
        """Both directions by their name in words."""
        return {
            "caption → image": self.caption_to_image,
            "image → caption": self.image_to_caption,
        }

    def figures(self) -> dict[str, float]:
        """The model's figures by name, such as "caption_to_image_recall_at_1"."""
        found = {}
        for name in ("caption_to_image", "image_to_caption"):
            ranking = getattr(self, name).model
            for cutoff, recall in zip(CUTOFFS, ranking.recall, strict=True):
                found[f"{name}_recall_at_{cutoff}"] = recall
            found[f"{name}_median_rank"] = ranking.median_rank
        return found

    def to_json(self) -> str:
        """The text that `load` reads back."""
        return json.dumps(dataclasses.asdict(self), indent=2)


def load(uri: str) -> Retrieval:
    """Reads a `RetrievalMetrics` artifact.

    Args:
      uri: its folder.
    """
    found = json.loads((Path(uri) / FILE_NAME).read_text(encoding="utf-8"))
    return Retrieval(
        found["pairs"],
        found["of_pairs"],
        _direction(found["caption_to_image"]),
        _direction(found["image_to_caption"]),
    )


def _direction(found: dict[str, Any]) -> Direction:
    model, chance = (
        Ranking(tuple(found[name]["recall"]), found[name]["median_rank"])
        for name in ("model", "chance")
    )
    return Direction(found["queries"], found["items"], model, chance)

"""Pairs to look at: the most confident mistakes, the least sure, the best, of every slice.

Of the best, true pairs and negatives stand in turn: a model is often so much surer of one kind
that the other would not be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modules.export.signatures import NOT_JUDGED
from pages.report.pairs import Pairs

MISTAKES, LEAST_SURE, BEST = "mistakes", "least sure", "best"
LISTS = (MISTAKES, LEAST_SURE, BEST)

_OVERALL = 24
_OF_A_SLICE = 6
_MOST = 400
"""Pairs on the page, so that it stays small however many slices there are."""


@dataclass(frozen=True)
class Example:
    """A pair to look at.

    Attributes:
      position: in `Pairs`.
      picture: key of its picture.
      picture_id: id of the pair that the picture comes from.
      caption: its text.
      caption_id: id of the pair that the caption was taken from; empty for one of its own.
      kind: matched, random or hard.
      is_match: whether the caption belongs to the picture.
      score: what the model says.
    """

    position: int
    picture: str
    picture_id: str
    caption: str
    caption_id: str
    kind: str
    is_match: bool
    score: float


@dataclass(frozen=True)
class Examples:
    """The section of single pairs to look at.

    Attributes:
      shown: the pairs.
      of_slices: for each slice and each of `LISTS`, positions in `shown`, the foremost first.
    """

    shown: tuple[Example, ...]
    of_slices: tuple[dict[str, tuple[int, ...]], ...]

    def payload(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "shown": [
                {
                    "picture": each.picture,
                    "pictureId": each.picture_id,
                    "caption": each.caption,
                    "captionId": each.caption_id,
                    "kind": each.kind,
                    "isMatch": each.is_match,
                    "score": each.score,
                }
                for each in self.shown
            ],
            "lists": LISTS,
            "ofSlices": self.of_slices,
        }

    def foremost(self, name: str, count: int, is_match: bool | None = None) -> list[Example]:
        """The first of a list over all pairs.

        Args:
          name: one of `LISTS`.
          count: how many, at most.
          is_match: only true pairs, or only negatives; None for both.
        """
        listed = [self.shown[at] for at in self.of_slices[0][name]] if self.shown else []
        return [each for each in listed if is_match in (None, each.is_match)][:count]


def choose_examples(
    pairs: Pairs, slices: Sequence[Sequence[tuple[str, str]]], threshold: float
) -> Examples:
    """Chooses pairs, the same ones for the same scores.

    Args:
      pairs: with their scores; what could not be judged is left out.
      slices: the parts of each slice, overall first.
      threshold: score from which a pair counts as a match.
    """
    orders = _orders(pairs, threshold)
    shown: dict[int, int] = {}
    of_slices = []
    for parts in slices:
        inside = pairs.members(parts)
        most = _OVERALL if not parts else _OF_A_SLICE
        chosen = {}
        for name, order in orders.items():
            first = order[inside[order]][:most]
            # Once the page is full, a slice shows what is there already.
            chosen[name] = tuple(
                shown.setdefault(int(at), len(shown))
                for at in first
                if int(at) in shown or len(shown) < _MOST
            )
        of_slices.append(chosen)
    return Examples(tuple(_example(pairs, at) for at in shown), tuple(of_slices))


def _orders(pairs: Pairs, threshold: float) -> dict[str, np.ndarray]:
    """For each list the positions of its pairs, the foremost first."""
    scores = pairs.scores.astype(np.float64)
    distance = np.abs(scores - threshold)
    is_right = (scores >= threshold) == (pairs.labels > 0)
    judged = scores != NOT_JUDGED
    by_distance = np.argsort(-distance, kind="stable")
    return {
        MISTAKES: by_distance[(judged & ~is_right)[by_distance]],
        LEAST_SURE: (nearest := np.argsort(distance, kind="stable"))[judged[nearest]],
        BEST: _in_turn(by_distance[(judged & is_right)[by_distance]], pairs.labels),
    }


def _in_turn(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The first of each label, then the second of each, and so on."""
    place = np.empty(len(order), np.int64)
    for label in (0, 1):
        of_label = labels[order] == label
        place[of_label] = np.arange(of_label.sum())
    return order[np.argsort(place, kind="stable")]


def _example(pairs: Pairs, at: int) -> Example:
    return Example(
        position=at,
        picture=pairs.pictures[pairs.picture[at]],
        picture_id=pairs.ids[at],
        caption=pairs.captions[pairs.caption[at]],
        caption_id=pairs.caption_ids[at],
        kind=pairs.kinds[at],
        is_match=bool(pairs.labels[at]),
        score=float(pairs.scores[at]),
    )

"""What counts as a leak, and how to say it: without Beam or TensorFlow."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

from core import features

GROUP = "group"
PICTURE = "picture"
CAPTION = "caption"

Answer = Literal["error", "warn"]

SHOWN = 3
"""Pairs that are named for each kind of leak."""

_PLURAL = {GROUP: "groups", PICTURE: "pictures", CAPTION: "captions"}
_CURE = {
    GROUP: "the splits were not made by group; make them with ImportExampleGen's partition feature",
    PICTURE: (
        "give pairs that show the same picture one group when importing (--group-column), or set "
        'data.image_leakage = "warn"'
    ),
    CAPTION: (
        "if such pairs belong together, give them one group when importing (--group-column); if "
        "the words are just common, nothing needs to be done"
    ),
}


@dataclasses.dataclass(frozen=True, order=True)
class Example:
    """Two pairs that share something.

    Attributes:
      judged: id of the pair in the judged split.
      train: id of the pair in train.
    """

    judged: str
    train: str


@dataclasses.dataclass(frozen=True, order=True)
class Leak:
    """What a judged split shares with train, of one kind.

    Attributes:
      kind: `GROUP`, `PICTURE` or `CAPTION`.
      split: the judged split.
      values: number of distinct groups, pictures or captions that both have.
      pairs: number of true pairs of the judged split that have one of them.
      of_pairs: number of its true pairs.
      examples: a few, those with the smallest ids.
    """

    kind: str
    split: str
    values: int
    pairs: int
    of_pairs: int
    examples: tuple[Example, ...]

    def sentence(self) -> str:
        """The leak in words, without what to do about it."""
        named = ", ".join(f"{each.judged!r} ({each.train!r} in train)" for each in self.examples)
        kind = self.kind if self.values == 1 else _PLURAL[self.kind]
        return (
            f"split {self.split} shares {self.values:,} {kind} with train, in {self.pairs:,} of "
            f"its {self.of_pairs:,} pairs, such as {named}"
        )


class Sightings:
    """The splits in which one group, picture or caption was seen; small however often it was."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, split: str, pair_id: str) -> None:
        """Takes in one true pair that has it."""
        self._add(split, pair_id, 1)

    def merge(self, other: "Sightings") -> None:
        """Takes in what another has seen."""
        for split, count in other._count.items():
            self._add(split, other._first[split], count)

    def leaks(self, kind: str) -> list[Leak]:
        """One leak for each judged split that shares it with train; `of_pairs` is not known yet."""
        if features.TRAIN not in self._count:
            return []
        return [
            Leak(
                kind,
                split,
                1,
                count,
                0,
                (Example(self._first[split], self._first[features.TRAIN]),),
            )
            for split, count in sorted(self._count.items())
            if split != features.TRAIN
        ]

    def _add(self, split: str, pair_id: str, count: int) -> None:
        self._count[split] = self._count.get(split, 0) + count
        # The smallest, so that the order in which Beam comes along plays no part.
        self._first[split] = min(pair_id, self._first.get(split, pair_id))


def merge(leaks: Iterable[Leak]) -> Leak | None:
    """Adds up leaks of the same kind and split; None if there are none."""
    merged = None
    for leak in leaks:
        if merged is None:
            merged = leak
            continue
        merged = dataclasses.replace(
            merged,
            values=merged.values + leak.values,
            pairs=merged.pairs + leak.pairs,
            examples=tuple(sorted((*merged.examples, *leak.examples))[:SHOWN]),
        )
    return merged


def judge(leaks: Iterable[Leak], answers: Mapping[str, Answer]) -> tuple[str, str]:
    """What to say of the leaks.

    Args:
      leaks: at most one for each kind and split.
      answers: kind to what its leaks are answered with.

    Returns:
      Why the run must stop, and what the user should know, each in one line and empty if there is
      nothing to say.
    """
    said: dict[Answer, list[str]] = {"error": [], "warn": []}
    for kind, answer in answers.items():
        sentences = [leak.sentence() for leak in sorted(leaks) if leak.kind == kind]
        if sentences:
            said[answer].append(f"{'; '.join(sentences)}: {_CURE[kind]}")
    return ". ".join(said["error"]), ". ".join(said["warn"])

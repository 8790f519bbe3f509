"""Who the demo's creatures are: families of them, each with a handful of attributes.

Every attribute is one that a small picture shows plainly and that a caption can name. They are
drawn independently and about equally often, so that guessing the commonest value is no help.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

COLORS = ("red", "yellow", "green", "blue", "purple", "pink", "white", "black")
BODIES = ("blob", "bird", "serpent", "quadruped", "fish", "butterfly")
PATTERNS = ("plain", "spots", "stripes", "belly")
"""`belly` is one large pale patch."""
PARTS = ("none", "horns", "crown", "leaf", "flame", "antennae")
"""What it has on its head."""
PLACES = ("meadow", "night", "sea", "desert", "snow", "cave")

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "color": COLORS,
    "body": BODIES,
    "pattern": PATTERNS,
    "part": PARTS,
    "place": PLACES,
}
"""Attribute to its values, in the order in which `Creature` has them."""

MAX_FAMILY = 4
DEFAULT_COUNT = 1200
DEFAULT_SEED = 7


@dataclass(frozen=True)
class Creature:
    """One creature.

    Attributes:
      number: from 1.
      family: from 1; a family shares color, body and pattern.
      stage: from 1; within a family each stage is a little bigger than the one before.
      color: one of `COLORS`.
      body: one of `BODIES`.
      pattern: one of `PATTERNS`.
      part: one of `PARTS`.
      place: one of `PLACES`.
      seed: of everything that no caption speaks of, such as the pose.
    """

    number: int
    family: int
    stage: int
    color: str
    body: str
    pattern: str
    part: str
    place: str
    seed: int


def generate(count: int = DEFAULT_COUNT, seed: int = DEFAULT_SEED) -> Iterator[Creature]:
    """Makes creatures up, family by family.

    The same seed gives the same creatures, and a larger count the same ones and more.

    Args:
      count: how many.
      seed: of the whole cast.
    """
    return itertools.islice(_endless(seed), count)


def _endless(seed: int) -> Iterator[Creature]:
    generator = random.Random(seed)
    looks = _Deck((COLORS, BODIES, PATTERNS), generator)
    details = _Deck((PARTS, PLACES), generator)
    numbers = itertools.count(1)
    for family in itertools.count(1):
        color, body, pattern = looks.deal()
        for stage in range(1, generator.randint(1, MAX_FAMILY) + 1):
            part, place = details.deal()
            yield Creature(
                number=next(numbers),
                family=family,
                stage=stage,
                color=color,
                body=body,
                pattern=pattern,
                part=part,
                place=place,
                seed=generator.getrandbits(32),
            )


class _Deck:
    """Deals every combination once before any comes again: even, and still without a pattern."""

    def __init__(self, values: tuple[tuple[str, ...], ...], generator: random.Random):
        self._combinations = list(itertools.product(*values))
        self._generator = generator
        self._left: list[tuple[str, ...]] = []

    def deal(self) -> tuple[str, ...]:
        if not self._left:
            self._left = self._combinations[:]
            self._generator.shuffle(self._left)
        return self._left.pop()

"""Choosing negatives: pure functions and one table, without Beam or TensorFlow."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import DexmatchError
from core.negatives import can_be_negative

POOL_LIMIT = 20_000
"""Negatives are chosen among at most so many pairs of a split, so that the time a row takes is
bounded."""

_CLOSE_SHARE = 0.1
"""Hard captions are drawn from the closest tenth: always taking the closest would use a few
captions again and again."""


@dataclass(frozen=True, order=True)
class Candidate:
    """A caption that may be set against another pair's image.

    Attributes:
      pair_id: the pair that it belongs to.
      group: that pair's group.
      caption: the text, UTF-8.
      values: that pair's metadata, one value a column, b"" where there is none.
    """

    pair_id: bytes
    group: bytes
    caption: bytes
    values: tuple[bytes, ...]


class CandidatePool:
    """The captions of one split, with a way to draw from them.

    Args:
      split: the split's name, for messages.
      candidates: every pair of the split, in any order.
      seed: the same seed, split and pair give the same draw, whatever the order of calls.

    Raises:
      DexmatchError: the split has no pair.
    """

    def __init__(self, split: str, candidates: Sequence[Candidate], seed: int):
        if not candidates:
            raise DexmatchError(f"split {split}: it has no pair; {self._remedy(split)}")
        self._split = split
        self._seed = seed
        # Beam promises no order.
        pool = sorted(candidates)
        if len(pool) > POOL_LIMIT:
            pool = self._random(b"pool").sample(pool, POOL_LIMIT)
        self._pool = pool
        # Comparing small integers is a hundred times faster than comparing the values themselves.
        self._groups = _Codes([candidate.group for candidate in pool])
        self._captions = _Codes([candidate.caption for candidate in pool])
        columns = zip(*(candidate.values for candidate in pool), strict=True)
        self._columns = [_Codes(column) for column in columns]

    def draw_random(self, pair: Candidate, count: int) -> list[Candidate]:
        """Draws captions of other groups, each at most once.

        Returns:
          `count` candidates, or as many as there are.

        Raises:
          DexmatchError: the split has no other group with another caption.
        """
        wrong = np.flatnonzero(self._are_negatives(pair))
        if not len(wrong):
            raise DexmatchError(
                f"split {self._split}: pair {pair.pair_id.decode()!r} finds no other caption of "
                f"another group to be set against; {self._remedy(self._split)}"
            )
        drawn = self._random(b"random", pair.pair_id).sample(list(wrong), min(count, len(wrong)))
        return [self._pool[index] for index in drawn]

    def draw_hard(self, pair: Candidate, count: int) -> list[Candidate]:
        """Draws captions of other groups whose metadata is close to the pair's, but not equal.

        Closeness is the number of columns with the same value. The draw is from the closest tenth
        of those that share at least one value.

        Returns:
          `count` candidates, or as many as there are.
        """
        if not count:
            return []
        shared = np.zeros(len(self._pool), np.int32)
        differs = np.zeros(len(self._pool), bool)
        for codes, value in zip(self._columns, pair.values, strict=True):
            same = codes.equal(value)
            differs |= ~same
            if value:
                shared += same
        close = np.flatnonzero(self._are_negatives(pair) & differs & (shared > 0))
        generator = self._random(b"hard", pair.pair_id)
        ranked = sorted(close, key=lambda index: (-shared[index], generator.random()))
        closest = ranked[: max(count, round(_CLOSE_SHARE * len(ranked)))]
        drawn = generator.sample(closest, min(count, len(closest)))
        return [self._pool[index] for index in drawn]

    def _are_negatives(self, pair: Candidate) -> np.ndarray:
        """bool [pool]: which captions may be set against the pair's image."""
        return can_be_negative(self._groups.equal(pair.group), self._captions.equal(pair.caption))

    @staticmethod
    def _remedy(split: str) -> str:
        return (
            "import pairs of more groups (dexmatch data import --group-column) with different "
            f"captions, or give this split a larger share of the groups (data.{split}_buckets)"
        )

    def _random(self, *parts: bytes) -> random.Random:
        key = b"\0".join((str(self._seed).encode(), self._split.encode(), *parts))
        return random.Random(hashlib.sha256(key).digest())


class _Codes:
    """A column of values as integers, to be compared with one value."""

    def __init__(self, values: Sequence[bytes]):
        self._code_of = {value: code for code, value in enumerate(dict.fromkeys(values))}
        self._codes = np.array([self._code_of[value] for value in values], np.int32)

    def equal(self, value: bytes) -> np.ndarray:
        """bool [rows]: where the column has this value."""
        return self._codes == self._code_of.get(value, -1)

"""Choosing negatives: pure functions and one table, without Beam or TensorFlow."""

import hashlib
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import DexmatchError
from core.negatives import can_be_negative

POOL_LIMIT = 20_000
"""Negatives are chosen among at most so many pairs of a split, so that the time a row takes and the
memory of a worker are bounded."""

CLOSE_SHARE = 0.1
"""Hard captions are drawn from the closest tenth: always taking the closest would use a few
captions again and again."""

_LOT_BITS = 53
"""Of a float from 0 to 1, as both generators of random numbers make them."""


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


@dataclass(frozen=True)
class PoolOrder:
    """The order in which a split's pairs get a place in its pool; called as a key for sorting.

    It goes by a keyed hash, so that the first ones are a fair sample, and the same one wherever and
    in whatever order the pairs come along. Pairs of the same id are told apart by all else.

    Attributes:
      split: the split's name.
      seed: of the hash.
    """

    split: str
    seed: int

    def __call__(self, candidate: Candidate) -> tuple[bytes, Candidate]:
        """What to sort by."""
        return _digest(self.seed, self.split, b"pool", candidate.pair_id), candidate


class CandidatePool:
    """Captions of one split, with a way to draw from them.

    Args:
      split: the split's name, for messages.
      candidates: pairs of the split, in any order; all of them, or the first `POOL_LIMIT` by
        `PoolOrder`.
      seed: the same seed, split and pair give the same draw, whatever the order of calls.

    Raises:
      DexmatchError: the split has no pair.
    """

    def __init__(self, split: str, candidates: list[Candidate], seed: int):
        # Beam promises no order.
        self._pool = pool = sorted(checked(candidates, split))
        self._split = split
        self._seed = seed
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
                f"another group to be set against; {_remedy(self._split)}"
            )
        generator = self._random(b"random", pair.pair_id)
        drawn = generator.sample(range(len(wrong)), min(count, len(wrong)))
        return [self._pool[wrong[place]] for place in drawn]

    def draw_hard(self, pair: Candidate, count: int) -> list[Candidate]:
        """Draws captions of other groups whose metadata is close to the pair's, but not equal.

        Closeness is the number of columns with the same value. The draw is from the closest tenth
        of those that share at least one value.

        Returns:
          `count` candidates, or as many as there are.
        """
        if not count:
            return []
        close, shared = self._look_alikes(pair)
        if not len(close):
            return []
        generator = self._random(b"hard", pair.pair_id)
        # The closest first, and among equals by lot.
        unshared = (len(self._columns) - shared).astype(np.uint64)
        keys = (unshared << np.uint64(_LOT_BITS)) | _lots(generator, len(close))
        most = min(len(close), max(count, round(CLOSE_SHARE * len(close))))
        # Sorting all would take several times as long.
        closest = np.argpartition(keys, most - 1)[:most]
        ranked = close[closest[np.argsort(keys[closest])]]
        drawn = generator.sample(range(most), min(count, most))
        return [self._pool[ranked[place]] for place in drawn]

    def _look_alikes(self, pair: Candidate) -> tuple[np.ndarray, np.ndarray]:
        """Captions that may be set against the pair's image and whose metadata is close to its own.

        Returns:
          Their indices in the pool, int64 [N], and how many columns each shares, uint16 [N].
        """
        shared = np.zeros(len(self._pool), np.uint16)
        differs = np.zeros(len(self._pool), bool)
        for codes, value in zip(self._columns, pair.values, strict=True):
            same = codes.equal(value)
            differs |= ~same
            if value:
                shared += same
        close = np.flatnonzero(self._are_negatives(pair) & differs & (shared > 0))
        return close, shared[close]

    def _are_negatives(self, pair: Candidate) -> np.ndarray:
        """bool [pool]: which captions may be set against the pair's image."""
        return can_be_negative(self._groups.equal(pair.group), self._captions.equal(pair.caption))

    def _random(self, *parts: bytes) -> random.Random:
        return random.Random(_digest(self._seed, self._split, *parts))


class _Codes:
    """A column of values as integers, to be compared with one value."""

    def __init__(self, values: Sequence[bytes]):
        self._code_of = {value: code for code, value in enumerate(dict.fromkeys(values))}
        self._codes = np.array([self._code_of[value] for value in values], np.int32)

    def equal(self, value: bytes) -> np.ndarray:
        """bool [rows]: where the column has this value."""
        return self._codes == self._code_of.get(value, -1)


def checked(candidates: list[Candidate], split: str) -> list[Candidate]:
    """The same.

    Raises:
      DexmatchError: there are none.
    """
    if not candidates:
        raise DexmatchError(f"split {split}: it has no pair; {_remedy(split)}")
    return candidates


def _remedy(split: str) -> str:
    return (
        "import pairs of more groups (dexmatch data import --group-column) with different "
        f"captions, or give this split a larger share of the groups (data.{split}_buckets)"
    )


def _digest(seed: int, split: str, *parts: bytes) -> bytes:
    return hashlib.sha256(b"\0".join((str(seed).encode(), split.encode(), *parts))).digest()


class _Twister(threading.local):
    """A generator of NumPy's for each thread of a worker; to make one takes longer than its use."""

    def __init__(self) -> None:
        self.of_numpy = np.random.RandomState(0)


_twister = _Twister()


def _lots(generator: random.Random, count: int) -> np.ndarray:
    """What `generator.random()` gives one after another, times 2 ** `_LOT_BITS`: uint64 [count].

    Python and NumPy make floats of the same Mersenne Twister in the same way, NumPy ten times as
    fast. The generator is left as if it had made them itself.
    """
    version, (*key, position), gauss = generator.getstate()
    twister = _twister.of_numpy
    twister.set_state({"bit_generator": "MT19937", "state": {"key": key, "pos": position}})
    floats = twister.random_sample(count)
    state: dict[str, Any] = twister.get_state(legacy=False)["state"]
    generator.setstate((version, (*state["key"].tolist(), state["pos"]), gauss))
    return (floats * 2**_LOT_BITS).astype(np.uint64)

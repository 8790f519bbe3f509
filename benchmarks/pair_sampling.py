"""How long PairSampler takes to find look-alikes for a pair, beside a ranking in plain Python.

    python -m benchmarks.pair_sampling

Both draw the same captions from the same pools of made-up pairs, in one process, in turns; the
figures are medians over the pairs.
"""

import random
import statistics
import time
from collections.abc import Sequence

from benchmarks import tables
from components.pair_sampler.sampling import CLOSE_SHARE, Candidate, CandidatePool
from core import terminal

POOLS = (100, 1_000, 20_000)
COLUMNS = 5
VALUES = 4
"""Columns of metadata, and the values that each has."""
HARD_CAPTIONS = 3
_PAIRS = 50


class RankedInPython(CandidatePool):
    """The same pool and the same draw, one pair after another in Python's own loop."""

    def draw_hard(self, pair: Candidate, count: int) -> list[Candidate]:
        """See `CandidatePool.draw_hard`."""
        close, shared = self._look_alikes(pair)
        generator = self._random(b"hard", pair.pair_id)
        lots = [(-int(columns), generator.random()) for columns in shared]
        ranked = [index for _, index in sorted(zip(lots, close, strict=True))]
        closest = ranked[: max(count, round(CLOSE_SHARE * len(ranked)))]
        drawn = generator.sample(closest, min(count, len(closest)))
        return [self._pool[index] for index in drawn]


def main() -> None:
    """Measures and prints."""
    table = terminal.table("pool>", "in Python, ms>", "PairSampler, ms>", "times as fast>")
    for size in POOLS:
        pairs = made_up(size, COLUMNS, VALUES, seed=size)
        seconds = measure(
            pairs, [RankedInPython("test", pairs, 1), CandidatePool("test", pairs, 1)]
        )
        table.add_row(
            f"{size:,}",
            *(f"{each * 1e3:.3f}" for each in seconds),
            f"{seconds[0] / seconds[1]:.1f}",
        )
    tables.show(table)


def made_up(count: int, columns: int, values: int, seed: int) -> list[Candidate]:
    """Pairs in groups of three, some with the same caption, with metadata that may be missing."""
    generator = random.Random(seed)
    known = [b"", *(b"%d" % value for value in range(values))]
    return [
        Candidate(
            pair_id=b"%d" % number,
            group=b"g%d" % (number // 3),
            caption=b"caption %d" % generator.randrange(count),
            values=tuple(generator.choices(known, k=columns)),
        )
        for number in range(count)
    ]


def measure(pairs: Sequence[Candidate], pools: Sequence[CandidatePool]) -> list[float]:
    """The median seconds of a draw from each pool."""
    seconds: list[list[float]] = [[] for _ in pools]
    for pair in pairs[:_PAIRS]:
        for pool, taken in zip(pools, seconds, strict=True):
            start = time.perf_counter()
            pool.draw_hard(pair, HARD_CAPTIONS)
            taken.append(time.perf_counter() - start)
    return [statistics.median(each) for each in seconds]


if __name__ == "__main__":
    main()

"""Which figures of the requests have drifted away from the training data."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.config import MonitorConfig
from monitoring import statistics
from monitoring.statistics import JENSEN_SHANNON, L_INFINITY, Distribution
from monitoring.traffic import Traffic
from monitoring.training import Reference

READABLE, WITH_WORDS = "readable", "words"
OK, DRIFT, TOO_FEW, NOT_COMPARED = "ok", "drift", "too few", "not compared"


@dataclass(frozen=True)
class Measure:
    """One figure that is watched.

    Attributes:
      name: what it is of.
      kind: `L_INFINITY` or `JENSEN_SHANNON`.
      value: the distance; None if there is nothing to compare.
      bound: the greatest that is no drift.
      count: number of values in the log.
      training: what it was in training, in words; of scores, on the test split.
      log: what it is in the log.
      state: `OK`, `DRIFT`, `TOO_FEW` or `NOT_COMPARED`.
    """

    name: str
    kind: str
    value: float | None
    bound: float
    count: int
    training: str
    log: str
    state: str


def measure(traffic: Traffic, reference: Reference, settings: MonitorConfig) -> list[Measure]:
    """Compares all figures of which the log has values."""
    heights: Counter[int] = Counter()
    widths: Counter[int] = Counter()
    for (height, width), count in traffic.sizes.items():
        heights[height] += count
        widths[width] += count
    # What an importer let through can be decoded, and has words.
    readable = Distribution.from_counts({READABLE: reference.image_height.count})
    worded = Distribution.from_counts({WITH_WORDS: reference.caption_length.count})
    broken = {READABLE: traffic.sizes.total(), "unreadable": traffic.unreadable}
    empty = {
        WITH_WORDS: traffic.lengths.total() - traffic.wordless,
        "no words": traffic.wordless,
    }
    watched: tuple[tuple[str, Mapping[Any, int], Distribution | None, float], ...] = (
        ("pictures", broken, readable, settings.unjudged),
        ("captions", empty, worded, settings.unjudged),
        ("caption length", traffic.lengths, reference.caption_length, settings.caption_length),
        ("unknown words", traffic.words, reference.words, settings.unknown_words),
        ("image height", heights, reference.image_height, settings.image_size),
        ("image width", widths, reference.image_width, settings.image_size),
        ("scores", traffic.scores, reference.scores, settings.scores),
    )
    measures = []
    for name, counts, training, bound in watched:
        log = Distribution.from_counts(counts)
        if log:
            measures.append(_measure(name, log, training, bound, settings.min_values))
    return measures


def _measure(
    name: str, log: Distribution, training: Distribution | None, bound: float, fewest: int
) -> Measure:
    value = statistics.distance(log, training) if training else None
    if value is None:
        state = NOT_COMPARED
    elif log.count < fewest:
        state = TOO_FEW
    else:
        state = DRIFT if value > bound else OK
    was, is_now = _words(log, training)
    kind = JENSEN_SHANNON if log.is_numeric else L_INFINITY
    return Measure(name, kind, value, bound, log.count, was, is_now, state)


def _words(log: Distribution, training: Distribution | None) -> tuple[str, str]:
    """Training and log in words: of numbers the median, the least and the most, of texts the one
    whose share changed most."""
    if log.is_numeric:
        return _range(training) if training else "-", _range(log)
    before, after = training.shares if training else {}, log.shares
    most = max(
        before.keys() | after.keys(),
        key=lambda text: (abs(after.get(text, 0) - before.get(text, 0)), text),
    )
    shown = [f"{shares.get(most, 0):.1%} {most}" for shares in (before, after)]
    return shown[0] if training else "-", shown[1]


def _range(distribution: Distribution) -> str:
    found = distribution.statistics.num_stats
    median, least, most = (round(each, 2) for each in (found.median, found.min, found.max))
    return f"{median:g} ({least:g}–{most:g})"

"""What is doubtful about a data set: judgments, beside what stands in the data set itself."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core import buckets, features
from core.slices import slice_name
from data import pair_examples
from data.dataset import Dataset
from results.judgments import Judgment

UNLIKELY = "unlikely"
OUTDONE = "outdone"

# Measured, see docs/experiments.md: embeddings find candidates, pixels tell them apart.
_LEAST_SIMILARITY = 0.7
_MOST_DIFFERENCE = 10.0
_LEAST_SLICE = 10
"""Pairs: of fewer nothing can be said."""
_UNLIKELY_BY_CHANCE = 3.0
"""Standard deviations. There may be a hundred slices, and one in 700 is beyond by chance."""


@dataclass(frozen=True)
class Pair:
    """A pair of the data set.

    Attributes:
      id: its id.
      group: its group.
      caption: the text.
      slices: names of the slices that it is in.
      judgment: what was found of it; None if it could not be judged.
    """

    id: str
    group: str
    caption: str
    slices: tuple[str, ...]
    judgment: Judgment | None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why its caption is doubtful; empty if it is not."""
        found = self.judgment
        if found is None:
            return ()
        return tuple(
            reason
            for reason, holds in (
                (UNLIKELY, found.probability < 0.1),
                (OUTDONE, found.pictures_better > 0.5),
            )
            if holds
        )


@dataclass(frozen=True)
class NearDuplicates:
    """A picture that stands twice, in two groups.

    Attributes:
      one: a pair that has it.
      other: another.
      similarity: cosine of the embeddings.
      difference: root mean square of the difference of the thumbnails, 0 to 255.
    """

    one: Pair
    other: Pair
    similarity: float
    difference: float


@dataclass(frozen=True)
class SliceShare:
    """A slice in which more captions are doubtful than chance explains.

    Attributes:
      name: of the slice.
      pairs: judged ones.
      doubtful: how many of them have a doubtful caption.
      expected: how many would, were they spread evenly.
    """

    name: str
    pairs: int
    doubtful: int
    expected: float


@dataclass(frozen=True)
class Findings:
    """What an audit found.

    Attributes:
      ranked: the judged pairs, the most doubtful first.
      unjudged: pairs whose picture could not be decoded.
      near_duplicates: pictures that stand twice, the most alike first.
      repeated: captions that stand word for word at pictures of several groups, the most frequent
        first; pictures that stand twice do not count as several.
      slices: those with more doubtful captions than chance explains, the most striking first.
    """

    ranked: tuple[Pair, ...]
    unjudged: tuple[Pair, ...]
    near_duplicates: tuple[NearDuplicates, ...]
    repeated: tuple[tuple[Pair, ...], ...]
    slices: tuple[SliceShare, ...]

    @property
    def doubtful(self) -> tuple[Pair, ...]:
        """The pairs whose caption is doubtful, the most doubtful first."""
        return tuple(pair for pair in self.ranked if pair.reasons)


def gather(dataset: Dataset, judgments: Mapping[str, Judgment]) -> Findings:
    """Puts judgments beside the data set that they are of.

    Args:
      dataset: as `data.dataset.load` gives it.
      judgments: id to what was found of the pair.
    """
    pairs = list(_read(dataset, judgments))
    judged = [pair for pair in pairs if pair.judgment]
    ranked = sorted(judged, key=_self_confidence)
    twins = list(_near_duplicates({pair.id: pair for pair in judged}))
    return Findings(
        ranked=tuple(ranked),
        unjudged=tuple(pair for pair in pairs if not pair.judgment),
        near_duplicates=tuple(sorted(twins, key=lambda each: (-each.similarity, each.one.id))),
        repeated=tuple(_repeated(pairs, twins)),
        slices=tuple(_slices(ranked)),
    )


def _self_confidence(pair: Pair) -> tuple[float, float, str]:
    """How sure the model is of the caption; the smaller, the more doubtful it is.

    Of all captions of the fold, is it the picture's? That orders a little better than the
    probability of the pair alone, and far better than the margin over the best other caption: see
    docs/experiments.md.
    """
    found = pair.judgment
    assert found is not None
    return found.log_confidence, found.probability, pair.id


def _read(dataset: Dataset, judgments: Mapping[str, Judgment]) -> Iterator[Pair]:
    columns = [column.name for column in dataset.low_cardinality_columns()]
    files = [str(dataset.path / shard.name) for shard in dataset.files]
    for example in pair_examples.read_examples(files):
        pair_id, group, caption = (
            pair_examples.first_bytes(example, name)
            for name in (features.ID, features.GROUP, features.CAPTION)
        )
        height, width = (
            int(pair_examples.feature_values(example, name)[0])
            for name in (features.IMAGE_HEIGHT, features.IMAGE_WIDTH)
        )
        values: dict[str, Any] = {
            name: pair_examples.first_bytes(example, name).decode() for name in columns
        }
        values[features.CAPTION_LENGTH] = buckets.caption_length(caption).decode()
        values[features.IMAGE_SIZE] = buckets.image_size(height, width).decode()
        name = pair_id.decode()
        yield Pair(
            id=name,
            group=group.decode(),
            caption=caption.decode(),
            slices=tuple(slice_name([item]) for item in values.items() if item[1]),
            judgment=judgments.get(name),
        )


def _near_duplicates(pairs: Mapping[str, Pair]) -> Iterator[NearDuplicates]:
    seen = set()
    for pair in pairs.values():
        found = pair.judgment
        assert found is not None
        both = frozenset((pair.id, found.nearest))
        is_same = found.similarity >= _LEAST_SIMILARITY and found.difference <= _MOST_DIFFERENCE
        if is_same and both not in seen:
            seen.add(both)
            yield NearDuplicates(pair, pairs[found.nearest], found.similarity, found.difference)


def _repeated(pairs: Iterable[Pair], twins: Iterable[NearDuplicates]) -> list[tuple[Pair, ...]]:
    """Captions that several groups have, but for a picture that stands twice."""
    same = {frozenset((each.one.id, each.other.id)) for each in twins}
    by_caption: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_caption[" ".join(pair.caption.split()).casefold()].append(pair)
    found = []
    for alike in by_caption.values():
        first_of = {pair.group: pair for pair in reversed(alike)}
        ids = frozenset(pair.id for pair in first_of.values())
        if len(first_of) > 1 and ids not in same:
            found.append(tuple(alike))
    return sorted(found, key=lambda alike: (-len(alike), alike[0].caption))


def _slices(ranked: Iterable[Pair]) -> list[SliceShare]:
    pairs: Counter[str] = Counter()
    doubtful: Counter[str] = Counter()
    total = wrong = 0
    for pair in ranked:
        total += 1
        wrong += bool(pair.reasons)
        pairs.update(pair.slices)
        doubtful.update(pair.slices if pair.reasons else ())
    share = wrong / max(total, 1)

    def strikingness(name: str) -> float:
        deviation = math.sqrt(pairs[name] * share * (1 - share))
        return (doubtful[name] - pairs[name] * share) / deviation if deviation else 0.0

    striking = [
        name
        for name in pairs
        if pairs[name] >= _LEAST_SLICE and strikingness(name) > _UNLIKELY_BY_CHANCE
    ]
    return [
        SliceShare(name, pairs[name], doubtful[name], pairs[name] * share)
        for name in sorted(striking, key=lambda name: (-strikingness(name), name))
    ]

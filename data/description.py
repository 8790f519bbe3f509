"""Describes what an import made: `dataset.json`, and what is worth saying of it."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping

from core import features
from core.config import CaptionConfig
from data.dataset import Dataset, Feature, Shard, Source, Value, ValueCount
from data.plan import Plan
from data.rejects import Rejects
from data.statistics import Statistics, quantiles
from data.survey import FeatureType

_INTEGER_FEATURES = (features.IMAGE_HEIGHT, features.IMAGE_WIDTH)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What the workers did, added up.

    Attributes:
      shards: in order, by the names that they have in the data set.
      statistics: of all imported pairs.
      rejects: all other rows.
    """

    shards: list[Shard]
    statistics: Statistics
    rejects: Rejects

    @property
    def read(self) -> int:
        """Every row is either imported or rejected."""
        return self.statistics.pairs + self.rejects.total


def unread_words(statistics: Statistics) -> Iterator[str]:
    """What a model with the default configuration will not read of the captions."""
    max_tokens = CaptionConfig().max_tokens
    pairs = f"of {statistics.pairs:,} captions"
    if cut := sum(count for words, count in statistics.words.items() if words > max_tokens):
        longest = [f"{name!r} ({words:,})" for words, name in statistics.longest]
        yield (
            f"{cut:,} {pairs} have more than {max_tokens} words and will be cut there, the longest "
            f"in {', '.join(longest[:cut])}; raise caption.max_tokens to keep all of their words"
        )
    if without := statistics.words[0]:
        yield (
            f"{without:,} {pairs} hold no word: the model will say 0 of them, and the evaluation "
            "counts that"
        )


def describe(outcome: Outcome, plan: Plan) -> Dataset:
    """The text of `dataset.json` as an object; of one pair at least."""
    statistics = outcome.statistics
    return Dataset(
        read=outcome.read,
        imported=statistics.pairs,
        rejected=outcome.rejects.total,
        rejected_by_reason=outcome.rejects.by_reason(),
        images=len(statistics.images),
        groups=len(statistics.groups),
        source=Source(format=plan.format, name=plan.name, columns=plan.parts),
        features=tuple(_features(statistics, plan)),
        caption_words=quantiles(statistics.words),
        image_height=quantiles(statistics.heights),
        image_width=quantiles(statistics.widths),
        samples=statistics.spread_samples(),
        digest=_digest(outcome.shards),
        files=tuple(outcome.shards),
    )


def _features(statistics: Statistics, plan: Plan) -> Iterator[Feature]:
    """Every feature that occurs in the shards."""
    parts = plan.parts
    for name in (*features.REQUIRED, features.HARD_CAPTION):
        present = statistics.present[name]
        if present:
            kind: FeatureType = "int64" if name in _INTEGER_FEATURES else "bytes"
            yield Feature(name=name, type=kind, column=parts.get(name), present=present)
    for column in plan.metadata:
        present = statistics.present[column.feature]
        if present:
            yield Feature(
                name=column.feature,
                type=column.type,
                column=column.column,
                present=present,
                values=_value_counts(statistics.values[column.feature]),
            )


def _value_counts(counts: Mapping[Value, int] | None) -> tuple[ValueCount, ...] | None:
    if counts is None:
        return None
    return tuple(ValueCount(value=value, count=counts[value]) for value in sorted(counts))


def _digest(shards: list[Shard]) -> str:
    lines = "".join(f"{shard.name} {shard.sha256}\n" for shard in shards)
    return hashlib.sha256(lines.encode()).hexdigest()

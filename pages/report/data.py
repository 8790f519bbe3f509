"""What the data look like, and how they differ from the previous run's."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import features
from core.errors import DexmatchError
from data.dataset import REJECTS, read_description
from pages.report.drift import Distance, feature_distances
from pages.report.statistics import Statistics, gather_statistics
from pages.report.words import SplitWords, gather_words
from pages.sources import Sources

_MOST_REJECTS = 100
_COMPARED = (features.TRAIN, features.TEST)


@dataclass(frozen=True)
class Rejects:
    """What the import turned away.

    Attributes:
      by_reason: (reason, count), the most frequent first.
      rows: the first ones: (file, row, picture, reason, detail).
    """

    by_reason: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, str, str, str, str], ...]


@dataclass(frozen=True)
class Data:
    """The section on the data: splits, features, drift and rejects.

    Attributes:
      dataset: name of the data set; empty if it is not known.
      statistics: TFDV's.
      words: split to what its captions hold.
      previous: id of the run that drift is measured from; empty if there is none.
      distances: (what is compared, feature to distance).
      rejects: None if the data set's folder tells of none.
    """

    dataset: str
    statistics: Statistics
    words: Mapping[str, SplitWords]
    previous: str
    distances: tuple[tuple[str, Mapping[str, Distance]], ...]
    rejects: Rejects | None

    @property
    def compared(self) -> list[str]:
        """The features that any distance is known of."""
        return sorted({name for _, found in self.distances for name in found})

    def measure(self, feature: str) -> str:
        """How a feature's distances are measured."""
        return next(found[feature].measure for _, found in self.distances if feature in found)

    def payload(self) -> list[dict[str, Any]]:
        """For JSON: the histograms by split."""
        charts = {"Words per caption": "lengths", "Longer side of the picture, pixels": "sides"}
        return [
            {
                "name": title,
                "lines": [
                    {
                        "name": split,
                        "x": list(getattr(found, attribute)),
                        "y": list(getattr(found, attribute).values()),
                    }
                    for split, found in self.words.items()
                ],
            }
            for title, attribute in charts.items()
        ]


def gather_data(of: Sources, before: Sources | None) -> Data:
    """Reads what the data components found.

    Args:
      of: the run.
      before: the run that drift is measured from.
    """
    now = {name: split.statistics for name, split in of.splits.items()}
    then = {name: split.statistics for name, split in before.splits.items()} if before else {}
    compared = [
        (
            f"{split}, from the previous run",
            feature_distances(now[split], then[split], of.schema),
        )
        for split in _COMPARED
        if split in now and split in then
    ]
    if set(_COMPARED) <= now.keys():
        skew = feature_distances(now[features.TEST], now[features.TRAIN], of.schema)
        ours = (features.LABEL, features.PAIR_KIND, features.AGAINST)
        # Test holds negatives and train does not: that is meant.
        compared.append(
            ("test, from train", {name: far for name, far in skew.items() if name not in ours})
        )
    return Data(
        dataset=of.dataset.name if of.dataset else "",
        statistics=gather_statistics(of),
        words=gather_words(of),
        previous=before.run.id if before and before.run and then else "",
        distances=tuple(compared),
        rejects=_rejects(of.dataset) if of.dataset else None,
    )


def _rejects(folder: Path) -> Rejects | None:
    try:
        described = read_description(folder)
    except DexmatchError:
        return None  # Moved or removed since.
    rows: list[tuple[str, str, str, str, str]] = []
    path = folder / REJECTS
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if len(rows) == _MOST_REJECTS:
                    break
                rows.append((row["file"], row["row"], row["image"], row["reason"], row["detail"]))
    ordered = sorted(described.rejected_by_reason.items(), key=lambda each: (-each[1], each[0]))
    return Rejects(tuple(ordered), tuple(rows))

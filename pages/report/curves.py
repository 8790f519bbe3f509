"""The scores of all pairs, packed small enough for the page to compute curves of any slice."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.features import HARD, MATCHED, RANDOM
from core.metrics import CALIBRATION_BINS
from pages.report import inline_data
from pages.report.pairs import Pairs
from pages.report.slices import Slices

KINDS = (MATCHED, RANDOM, HARD)


@dataclass(frozen=True)
class Curves:
    """The data from which the page draws curves in the browser.

    Attributes:
      pairs: with their scores.
      slices: the slices that can be chosen.
      threshold: `evaluator.threshold`, where the slider starts.
    """

    pairs: Pairs
    slices: Slices
    threshold: float

    def payload(self) -> dict[str, Any]:
        """For JSON: arrays in base64, each value of a column once."""
        pairs = self.pairs
        return {
            "count": len(pairs.labels),
            "scores": inline_data.as_base64(pairs.scores.astype(np.float32)),
            "labels": inline_data.as_base64(pairs.labels.astype(np.uint8)),
            "kinds": inline_data.as_base64(
                np.array([KINDS.index(kind) for kind in pairs.kinds], np.uint8)
            ),
            "kindNames": KINDS,
            "columns": {name: _coded(values) for name, values in pairs.columns.items()},
            "slices": [
                {"name": row.name, "parts": parts}
                for row, parts in zip(self.slices.rows, self.slices.parts, strict=True)
            ],
            "threshold": self.threshold,
            "bins": CALIBRATION_BINS,
        }


def _coded(values: Any) -> dict[str, Any]:
    codes = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return {
        "codes": inline_data.as_base64(np.array([codes[value] for value in values], np.uint32)),
        "values": [list(value) for value in codes],
    }

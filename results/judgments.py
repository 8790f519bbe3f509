"""What Auditor found of each pair, as plain figures.

Needs no TensorFlow, so that a command can read it at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FILE_NAME = "judgments.npz"


@dataclass(frozen=True)
class Judgment:
    """What was found of one pair.

    Attributes:
      fold: which model judged it, counted from 0.
      probability: that the caption describes the picture, 0 to 1.
      log_confidence: logarithm of the probability that the own caption is the picture's, of it and
        those compared; -inf for a caption without a word.
      pictures_better: share of the compared pictures that the caption describes better, 0 to 1.
      captions_better: share of the compared captions that describe the picture better, 0 to 1.
      nearest: id of the pair of another group whose picture is most like this one.
      similarity: cosine of the embeddings of the two pictures.
      difference: root mean square of the difference of their thumbnails, 0 to 255.
    """

    fold: int
    probability: float
    log_confidence: float
    pictures_better: float
    captions_better: float
    nearest: str
    similarity: float
    difference: float


def save(judged: Mapping[str, np.ndarray], nearest: Mapping[str, np.ndarray], uri: str) -> None:
    """Writes a `Judgments` artifact.

    Args:
      judged: what `modules.training.out_of_fold.judge` returns.
      nearest: what `components.auditor.near_duplicates.find_nearest` returns, of the same pairs.
      uri: its folder.
    """
    order = {pair_id: row for row, pair_id in enumerate(nearest["id"])}
    rows = [order[pair_id] for pair_id in judged["id"]]
    beside = {name: values[rows] for name, values in nearest.items()}
    np.savez_compressed(Path(uri) / FILE_NAME, **{**beside, **judged})  # type: ignore[arg-type]


def load(uri: str) -> dict[str, Judgment]:
    """Reads a `Judgments` artifact: a pair's id to what was found of it.

    Args:
      uri: its folder.
    """
    with np.load(Path(uri) / FILE_NAME) as arrays:
        columns: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    probabilities = 1 / (1 + np.exp(-columns["logit"].astype(np.float64)))
    shares = {
        kind: columns[f"{kind}_better"] / np.maximum(columns[f"{kind}_compared"], 1)
        for kind in ("pictures", "captions")
    }
    return {
        pair_id.decode(): Judgment(
            fold=int(columns["fold"][row]),
            probability=float(probabilities[row]),
            log_confidence=float(columns["log_confidence"][row]),
            pictures_better=float(shares["pictures"][row]),
            captions_better=float(shares["captions"][row]),
            nearest=columns["nearest"][row].decode(),
            similarity=float(columns["similarity"][row]),
            difference=float(columns["difference"][row]),
        )
        for row, pair_id in enumerate(columns["id"])
    }

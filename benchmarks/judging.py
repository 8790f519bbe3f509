"""The ruler that the benchmarks hold to every system: the judged pairs, and the figures.

It shares no code with the pipeline's own evaluation, only the number of bins of the calibration
error; the two should agree.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from core import features
from core.metrics import CALIBRATION_BINS
from data import pair_examples

AUC = "auc"
AUC_RANDOM = "auc_random"
AUC_HARD = "auc_hard"
ECE = "ece"
MATCHED_PROBABILITY = "matched_probability"


@dataclasses.dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of a split, N of them.

    Attributes:
      groups: what the image belongs to.
      images: content of the picture files.
      captions: text.
      labels: int64 [N], 1 if the caption belongs to the image.
      kinds: str [N], how the caption was chosen: matched, random, hard.
    """

    groups: list[str]
    images: list[bytes]
    captions: list[str]
    labels: np.ndarray
    kinds: np.ndarray


@dataclasses.dataclass(frozen=True, slots=True)
class Trained:
    """What training a system once gave.

    Attributes:
      figures: of the test pairs, see `figures`.
      seconds: training time.
      curve: for each epoch the seconds since the training began, and the AUC on the val pairs.
    """

    figures: dict[str, float]
    seconds: float
    curve: list[tuple[float, float]]


def read(folder: Path, split: str) -> Pairs:
    """Reads a split of a PairSampler's `sampled_examples`, in an order that is always the same.

    Args:
      folder: the artifact's folder.
      split: "train", which holds true pairs only, "val" or "test".

    Raises:
      FileNotFoundError: the folder holds no such split.
    """
    files = pair_examples.split_files(str(folder / f"Split-{split}"))
    if not files:
        raise FileNotFoundError(f"{folder}: no split {split}; name a folder of sampled_examples")
    # Beam promises no order.
    rows = sorted(map(_row, pair_examples.read_examples(files)), key=_order)
    return Pairs(
        groups=[row[features.GROUP].decode() for row in rows],
        images=[row[features.IMAGE] for row in rows],
        captions=[row[features.CAPTION].decode() for row in rows],
        labels=np.array([row[features.LABEL] for row in rows], np.int64),
        kinds=np.array([row[features.PAIR_KIND].decode() for row in rows], str),
    )


def _row(example: Any) -> dict:
    """The first value of what a benchmark needs of a `tf.train.Example`."""
    texts = (features.ID, features.GROUP, features.IMAGE, features.CAPTION, features.PAIR_KIND)
    row = {name: pair_examples.first_bytes(example, name) for name in texts}
    return {**row, features.LABEL: pair_examples.label(example)}


def _order(row: dict) -> tuple:
    return row[features.ID], row[features.PAIR_KIND], row[features.CAPTION]


def figures(labels: np.ndarray, kinds: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """How good answers are.

    Args:
      labels: int [N].
      kinds: str [N], see `Pairs`.
      probabilities: float [N], that the caption belongs to the image.

    Returns:
      `AUC` over all pairs, `AUC_RANDOM` and `AUC_HARD` of the matched pairs against the wrong ones
      of that kind, `ECE`, and `MATCHED_PROBABILITY`, the mean over the matched pairs. An AUC for
      which one side has no pairs is left out.
    """
    matched = kinds == features.MATCHED
    contests = {
        AUC: np.full(len(kinds), True),
        AUC_RANDOM: matched | (kinds == features.RANDOM),
        AUC_HARD: matched | (kinds == features.HARD),
    }
    aucs = {
        name: float(roc_auc_score(labels[rows], probabilities[rows]))
        for name, rows in contests.items()
        if len(np.unique(labels[rows])) == 2
    }
    return {
        **aucs,
        ECE: calibration_error(labels, probabilities),
        MATCHED_PROBABILITY: float(probabilities[matched].mean()),
    }


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error over `CALIBRATION_BINS` bins of equal width.

    The gap between the mean probability and the share of matched pairs, averaged over the bins by
    their number of pairs (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    Args:
      labels: int [N].
      probabilities: float [N], 0 to 1.
    """
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=probabilities - labels, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))

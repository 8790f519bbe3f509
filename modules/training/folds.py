"""Folds: shares of the groups, and models that learn from all other groups."""

import io
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from core import features, reporting
from core.files import write_atomically
from modules.network.model import PairModel
from modules.training import checkpoints, distribution
from modules.training.build import build_trainer
from modules.training.fit import Folders, fit
from modules.training.inputs import TrainingData
from modules.training.setup import TrainingSetup

_FOUND = "found.npz"

_log = logging.getLogger(f"{reporting.LOGGER}.folds")


def assign_groups(groups: Counter[int], count: int) -> dict[int, int]:
    """The fold of each group: the largest ones first, each to the fold that is the smallest.

    Args:
      groups: the number of pairs in each.
      count: of folds.
    """
    sizes = [0] * count
    fold_of = {}
    for group, pairs in sorted(groups.items(), key=lambda item: (-item[1], item[0])):
        smallest = sizes.index(min(sizes))
        fold_of[group] = smallest
        sizes[smallest] += pairs
    return fold_of


def fold_lookup(fold_of: Mapping[int, int]) -> Callable[[dict[str, tf.Tensor]], tf.Tensor]:
    """A function of a row, see `modules.training.inputs.pair_rows`, to its fold, int64 []."""
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            list(fold_of), list(fold_of.values()), tf.int64, tf.int64
        ),
        default_value=-1,
    )
    return lambda row: table.lookup(row[features.GROUP_HASH])


def fit_for_fold(
    rest: TrainingData,
    setup: TrainingSetup,
    folder: str,
    name: str,
    ask: Callable[[PairModel], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Trains a model for a fold, and asks it; what an earlier run was told is not asked again.

    Args:
      rest: what the model learns from, and is watched on.
      setup: what it is trained with.
      folder: for what a run after a kill goes on from.
      name: of the fold, for the log.
      ask: the model's answers, from which nothing but arrays is kept.

    Raises:
      DexmatchError: see `build_trainer` and `fit`.
    """
    kept = f"{folder}/{_FOUND}"
    if tf.io.gfile.exists(kept):
        _log.info("%s ended in an earlier run", name)
        with tf.io.gfile.GFile(kept, "rb") as file, np.load(io.BytesIO(file.read())) as arrays:
            return dict(arrays)
    folders = Folders(checkpoints=f"{folder}/checkpoints", logs=None)
    found = ask(fit(build_trainer(setup), rest, setup, folders))
    if distribution.is_chief():
        content = io.BytesIO()
        np.savez(content, **found)  # type: ignore[arg-type]
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_atomically(Path(kept), content.getvalue())
        checkpoints.remove(folders.checkpoints)
    return found

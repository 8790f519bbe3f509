"""Cross-fitting: training pairs, scored by models that did not learn from their groups.

What a model says of pairs that it learned from tells nothing about others, and a small validation
split holds too few true pairs to fit probabilities to. So, as John Platt proposes in "Probabilistic
Outputs for Support Vector Machines" (1999, section 2.1), folds of the training split are left out;
for each a model is trained on all the rest, and scores the fold. What all of them said is what the
probabilities are fitted to.

Platt leaves out thirds. Where data are short, a model that learned from two thirds is far less sure
of its ground than the one that is served, so the folds are small here, and need not be all.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from core import features, reporting
from core.errors import DexmatchError
from modules.export.scoring import Scorer
from modules.network.model import PairModel
from modules.training import folds, inputs
from modules.training.calibration import ScoredPairs
from modules.training.held_out import HeldOut
from modules.training.inputs import TrainingData
from modules.training.setup import TrainingSetup


@dataclass(frozen=True)
class Fold:
    """A share of the training split's groups, and all others.

    Attributes:
      pairs: true pairs, as `modules.training.inputs.pair_rows` returns them.
      rest: all others of the training split, for a model to learn from.
      negatives: how many captions are set against the fold's images.
      hard: how many of these are hard ones, if there are as many.
      seed: of the draw.
    """

    pairs: tf.data.Dataset
    rest: TrainingData
    negatives: int
    hard: int
    seed: int


def split_folds(data: TrainingData, setup: TrainingSetup) -> list[Fold]:
    """Cuts `trainer.calibration_folds` folds of the same size out of the training split.

    The pairs of a group stay together. There will be as many negatives for each true pair as in
    the validation split, and as many hard ones among them.

    Args:
      data: both splits.
      setup: of the models that will score the folds.

    Raises:
      DexmatchError: there are too few groups, too few pairs for the replicas, or no true or no
        wrong pairs in the validation split.
    """
    settings = setup.config.trainer
    if not settings.calibration_folds:
        return []
    count = round(1 / settings.calibration_fold_share)
    groups = inputs.count_values(data.pictures.train, features.GROUP_HASH)
    # Else a fold, or what is left without it, could be one group, and no caption a negative.
    if len(groups) < 2 * count:
        raise DexmatchError(
            f"trainer.calibration_fold_share = {settings.calibration_fold_share} needs {2 * count} "
            f"groups to train on, and there are {len(groups)}; set calibration_folds to 0"
        )
    labels = inputs.count_values(data.pictures.val, features.LABEL)
    if not (labels[0] and labels[1]):
        raise DexmatchError(
            f"trainer.calibration_folds = {settings.calibration_folds}, but the "
            f"{labels.total()} pairs to validate on are not both true and wrong ones; set it to 0, "
            "or give the split more groups (data.val_buckets)"
        )
    fold_of = folds.assign_groups(groups, count)
    sizes = Counter(fold_of[group] for group in groups.elements())
    look_up = folds.fold_lookup(fold_of)

    def fold(index: int) -> Fold:
        def belongs(row: dict[str, tf.Tensor]) -> tf.Tensor:
            return look_up(row) == index

        def is_left(row: dict[str, tf.Tensor]) -> tf.Tensor:
            return ~belongs(row)

        rest = TrainingData.in_steps(
            data.pictures.filter_train(is_left),
            groups.total() - sizes[index],
            settings.batch_size,
            setup.strategy.num_replicas_in_sync,
        )
        return Fold(
            pairs=data.pictures.train.filter(belongs),
            rest=replace(rest, features=data.features and data.features.filter_train(is_left)),
            negatives=round(sizes[index] * labels[0] / labels[1]),
            hard=sizes[index] * setup.config.pairs.hard_negatives,
            seed=settings.seed + index,
        )

    return [fold(index) for index in range(settings.calibration_folds)]


def score_folds(cut: list[Fold], setup: TrainingSetup, folder: str) -> list[ScoredPairs]:
    """Trains a model for each fold on the rest, and has it score the fold.

    Args:
      cut: see `split_folds`.
      setup: what the models are trained with.
      folder: for what a run after a kill goes on from.

    Raises:
      DexmatchError: see `folds.fit_for_fold`.
    """
    scored = []
    for index, fold in enumerate(cut):

        def ask(model: PairModel, fold: Fold = fold) -> dict[str, np.ndarray]:
            return score_pairs(Scorer.of_model(model), fold)._asdict()

        name = f"calibration {index + 1} of {len(cut)}"
        with reporting.part(name, index + 1, len(cut) + 1):
            found = folds.fit_for_fold(fold.rest, setup, f"{folder}/fold_{index}", name, ask)
        scored.append(ScoredPairs(**found))
    return scored


def score_pairs(scorer: Scorer, fold: Fold) -> ScoredPairs:
    """Scores a fold: its true pairs, then hard negatives, then random ones.

    Args:
      scorer: of a model that learned from the rest.
      fold: whose images are set against captions of the fold, as far as there are any, because
        the others are none that the model meets for the first time.
    """
    held_out = HeldOut.read(fold.pairs)
    count = len(held_out.tokens)
    wrong = held_out.draw_wrong(fold.negatives, fold.hard, fold.seed)
    labels = np.zeros(count + len(wrong.images), np.float32)
    labels[:count] = 1
    images = scorer.images(fold.pairs.map(inputs.decode_pixels).as_numpy_iterator())
    # Each once: the random ones are captions of the fold.
    lines, numbers = np.unique(
        np.concatenate([held_out.tokens, wrong.tokens]), axis=0, return_inverse=True
    )
    captions = scorer.captions(lines)[numbers.ravel()]
    image_numbers = np.concatenate([np.arange(count), wrong.images])
    return ScoredPairs(scorer.pairs(images[image_numbers], captions), labels)

"""Cross-fitting: training pairs, scored by models that did not learn from their groups.

What a model says of pairs that it learned from tells nothing about others, and a small validation
split holds too few true pairs to fit probabilities to. So, as John Platt proposes in "Probabilistic
Outputs for Support Vector Machines" (1999, section 2.1), folds of the training split are left out;
for each a model is trained on all the rest, and scores the fold. What all of them said is what the
probabilities are fitted to.

Platt leaves out thirds. Where data are short, a model that learned from two thirds is far less sure
of its ground than the one that is served, so the folds are small here, and need not be all.
"""

import io
import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from core import features, reporting
from core.errors import DexmatchError
from core.files import write_atomically
from core.negatives import can_be_negative
from modules.export.scoring import Scorer
from modules.training import checkpoints, distribution, inputs
from modules.training.build import build_trainer
from modules.training.calibration import ScoredPairs
from modules.training.fit import Folders, fit
from modules.training.inputs import TrainingData
from modules.training.setup import TrainingSetup

_SCORED = "scored.npz"
# A caption of another group is soon found but where one group is nearly all there is.
_MOST_DRAWS = 100

_log = logging.getLogger(f"{reporting.LOGGER}.cross_fitting")


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
    fold_of = _assign_groups(groups, count)
    sizes = Counter(fold_of[group] for group in groups.elements())
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            list(fold_of), list(fold_of.values()), tf.int64, tf.int64
        ),
        default_value=-1,
    )

    def fold(index: int) -> Fold:
        def belongs(row: dict[str, tf.Tensor]) -> tf.Tensor:
            return table.lookup(row[features.GROUP_HASH]) == index

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


def _assign_groups(groups: Counter[int], count: int) -> dict[int, int]:
    """The fold of each group: the largest ones first, each to the fold that is the smallest."""
    sizes = [0] * count
    fold_of = {}
    for group, pairs in sorted(groups.items(), key=lambda item: (-item[1], item[0])):
        smallest = sizes.index(min(sizes))
        fold_of[group] = smallest
        sizes[smallest] += pairs
    return fold_of


def score_folds(folds: list[Fold], setup: TrainingSetup, folder: str) -> list[ScoredPairs]:
    """Trains a model for each fold on the rest, and has it score the fold.

    Args:
      folds: see `split_folds`.
      setup: what the models are trained with.
      folder: for what a run after a kill goes on from.

    Raises:
      DexmatchError: see `build_trainer` and `fit`.
    """
    return [
        _score_fold(fold, index, len(folds), setup, f"{folder}/fold_{index}")
        for index, fold in enumerate(folds)
    ]


def _score_fold(
    fold: Fold, index: int, count: int, setup: TrainingSetup, folder: str
) -> ScoredPairs:
    kept = f"{folder}/{_SCORED}"
    if tf.io.gfile.exists(kept):
        _log.info("calibration %d of %d ended in an earlier run", index + 1, count)
        with tf.io.gfile.GFile(kept, "rb") as file, np.load(io.BytesIO(file.read())) as arrays:
            return ScoredPairs(arrays["logits"], arrays["labels"])
    folders = Folders(checkpoints=f"{folder}/checkpoints", logs=None)
    with reporting.part(f"calibration {index + 1} of {count}", index + 1, count + 1):
        trainer = build_trainer(setup)
        fit(trainer, fold.rest, setup, folders)
        scored = score_pairs(Scorer.of_model(trainer.model), fold)
    if distribution.is_chief():
        content = io.BytesIO()
        np.savez(content, **scored._asdict())
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_atomically(Path(kept), content.getvalue())
        checkpoints.remove(folders.checkpoints)
    return scored


def score_pairs(scorer: Scorer, fold: Fold) -> ScoredPairs:
    """Scores a fold: its true pairs, then hard negatives, then random ones.

    Args:
      scorer: of a model that learned from the rest.
      fold: whose images are set against captions of the fold, as far as there are any, because
        the others are none that the model meets for the first time.
    """
    rows = _Rows.read(fold.pairs)
    count = len(rows.tokens)
    hard_images, hard_tokens = _hard_negatives(rows, min(fold.hard, fold.negatives))
    random_images, random_captions = _random_negatives(
        rows, fold.negatives - len(hard_images), np.random.default_rng(fold.seed)
    )
    labels = np.zeros(count + len(hard_images) + len(random_images), np.float32)
    labels[:count] = 1
    images = scorer.images(fold.pairs.map(inputs.decode_pixels).as_numpy_iterator())
    captions = scorer.captions(np.concatenate([rows.tokens, hard_tokens]))
    image_numbers = np.concatenate([np.arange(count), hard_images, random_images])
    caption_numbers = np.concatenate([np.arange(len(captions)), random_captions])
    return ScoredPairs(scorer.pairs(images[image_numbers], captions[caption_numbers]), labels)


@dataclass(frozen=True)
class _Rows:
    """What decides which captions of a fold may be negatives of which of its N images.

    Attributes:
      tokens: the true captions, int64 [N, L].
      hard: candidates for hard negatives, N times int64 [n, L].
      groups: int64 [N].
    """

    tokens: np.ndarray
    hard: list[np.ndarray]
    groups: np.ndarray

    @classmethod
    def read(cls, pairs: tf.data.Dataset) -> "_Rows":
        names = (features.TOKENS, features.HARD_TOKENS, features.GROUP_HASH)
        needed = pairs.map(lambda row: {name: row[name] for name in names if name in row})
        found = list(needed.as_numpy_iterator())
        tokens = np.stack([row[features.TOKENS] for row in found])
        none = np.zeros(0, np.int64)
        return cls(
            tokens=tokens,
            hard=[
                row.get(features.HARD_TOKENS, none).reshape(-1, tokens.shape[1]) for row in found
            ],
            groups=np.array([row[features.GROUP_HASH] for row in found]),
        )

    def are_negatives(self, images: np.ndarray, captions: np.ndarray) -> np.ndarray:
        """bool [M], of images and captions by their numbers, each int64 [M]."""
        return can_be_negative(
            self.groups[images] == self.groups[captions],
            (self.tokens[images] == self.tokens[captions]).all(axis=1),
        )


def _hard_negatives(rows: _Rows, count: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` of the candidates: captions of the fold first, then one of each image."""
    own = {line.tobytes() for line in rows.tokens}
    candidates = sorted(
        (line.tobytes() not in own, rank, image)
        for image, lines in enumerate(rows.hard)
        for rank, line in enumerate(lines)
    )[:count]
    images = np.array([image for _, _, image in candidates], np.int64)
    tokens = [rows.hard[image][rank] for _, rank, image in candidates]
    return images, np.array(tokens, np.int64).reshape(-1, rows.tokens.shape[1])


def _random_negatives(
    rows: _Rows, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of images and of captions that are negatives of them; every image has its turn."""
    everything = len(rows.tokens)
    images = np.resize(generator.permutation(everything), count)
    captions = generator.integers(everything, size=count)
    for _ in range(_MOST_DRAWS):
        doubtful = np.flatnonzero(~rows.are_negatives(images, captions))
        if not len(doubtful):
            break
        captions[doubtful] = generator.integers(everything, size=len(doubtful))
    chosen = rows.are_negatives(images, captions)
    return images[chosen], captions[chosen]

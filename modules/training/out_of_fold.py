"""Every pair of a data set, judged by a model that never saw its group.

The groups are cut into twice as many parts as there are folds. Two parts are a fold; the next one
is what the fold's model is watched on and calibrated by; it learns from all others. So what decides
the weights, the epoch and the calibration says nothing of the fold.

A caption is compared with pictures of its own fold alone: of all others the model has learned
which captions are theirs, and finds strange ones less like them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from core import features, reporting
from modules.export.scoring import SCORED_AT_ONCE, Scorer
from modules.network.model import PairModel
from modules.preprocessing.captions import PADDING_ID
from modules.training import calibration, folds, inputs
from modules.training.data_checks import check_data
from modules.training.held_out import HeldOut, with_wrong_pairs
from modules.training.inputs import Splits, TrainingData
from modules.training.setup import TrainingSetup


@dataclass(frozen=True)
class _Cut:
    """All pairs, cut into parts by their groups.

    Attributes:
      part_of: group to part.
      sizes: part to the number of its pairs.
    """

    part_of: dict[int, int]
    sizes: Counter[int]

    @classmethod
    def of(cls, pairs: tf.data.Dataset, parts: int) -> "_Cut":
        """Parts of about the same size; there are at least as many groups."""
        groups = inputs.count_values(pairs, features.GROUP_HASH)
        part_of = folds.assign_groups(groups, parts)
        return cls(part_of, Counter(part_of[group] for group in groups.elements()))

    def within(self, rows: tf.data.Dataset, parts: list[int]) -> tf.data.Dataset:
        """The rows of some parts."""
        look_up = folds.fold_lookup(self.part_of)
        return rows.filter(lambda row: tf.reduce_any(look_up(row) == tf.constant(parts, tf.int64)))


def judge(
    pairs: Splits, frozen: Splits | None, setup: TrainingSetup, count: int, most: int, folder: str
) -> dict[str, np.ndarray]:
    """Trains a model a fold, and has it judge the fold.

    Args:
      pairs: all true pairs, as `modules.training.inputs.pair_rows` returns them, with `id`; there
        are none to validate on.
      frozen: the same with features of the frozen backbone; None where no stage needs them.
      setup: what the models are trained with.
      count: of folds.
      most: see `judge_pairs`.
      folder: for what a run after a kill goes on from.

    Returns:
      What `judge_pairs` returns, of all pairs, and `fold` int64 [N].

    Raises:
      DexmatchError: see `check_data` and `folds.fit_for_fold`.
    """
    cut = _Cut.of(pairs.train, 2 * count)
    judged = []
    for index in range(count):
        name = f"fold {index + 1} of {count}"
        with reporting.part(name, index, count):
            rest = _rest(pairs, frozen, cut, index, setup)
            own = cut.within(pairs.train, [2 * index, 2 * index + 1])
            ask = _ask(own, rest, most, setup.config.pairs.seed + index)
            found = folds.fit_for_fold(rest, setup, f"{folder}/fold_{index}", name, ask)
        judged.append({**found, "fold": np.full(len(found["id"]), index)})
    return {key: np.concatenate([found[key] for found in judged]) for key in judged[0]}


def _rest(
    pairs: Splits, frozen: Splits | None, cut: _Cut, index: int, setup: TrainingSetup
) -> TrainingData:
    """What the model of a fold learns from, and is watched on."""
    parts = len(cut.sizes)
    watched = (2 * index + 2) % parts
    learned = [part for part in range(parts) if part not in (2 * index, 2 * index + 1, watched)]
    size = cut.sizes[watched]
    settings = setup.config.pairs
    wrong = HeldOut.read(cut.within(pairs.train, [watched])).draw_wrong(
        size * (settings.random_negatives + settings.hard_negatives),
        size * settings.hard_negatives,
        settings.seed + index,
    )

    def splits(rows: tf.data.Dataset) -> Splits:
        judged = with_wrong_pairs(cut.within(rows, [watched]), wrong, size)
        return Splits(cut.within(rows, learned), judged)

    pictures = splits(pairs.train)
    trainer = setup.config.trainer
    rest = TrainingData.in_steps(
        pictures,
        check_data(pictures, trainer),
        trainer.batch_size,
        setup.strategy.num_replicas_in_sync,
    )
    return replace(rest, features=frozen and splits(frozen.train))


def _ask(
    own: tf.data.Dataset, rest: TrainingData, most: int, seed: int
) -> Callable[[PairModel], dict[str, np.ndarray]]:
    """Has a trained model judge a fold, once its logits mean the same as those of the others."""

    def ask(model: PairModel) -> dict[str, np.ndarray]:
        calibration.calibrate(model, [calibration.score_validation(model, rest)])
        return judge_pairs(Scorer.of_model(model), own, most, seed)

    return ask


def judge_pairs(
    scorer: Scorer, pairs: tf.data.Dataset, most: int, seed: int
) -> dict[str, np.ndarray]:
    """What a model says of pairs that it never saw, N of them.

    A pair is compared with pictures and captions that could be wrong ones: of other groups, with
    other words.

    Args:
      scorer: of the model.
      pairs: as `modules.training.inputs.pair_rows` returns them, with `id`.
      most: pictures that a caption is compared with, and captions that a picture is; of more, so
        many are drawn. Time grows with N times this.
      seed: of the draw.

    Returns:
      Arrays [N]: `id` bytes; `logit` float32; `pictures_compared` int64, and `pictures_better`,
      how many of these the caption describes better; `captions_compared` and `captions_better`
      for the picture, where what is as good counts by half; `log_confidence` float32, the logarithm
      of the softmax of the logits of own caption and compared ones, at the own.
    """
    held_out = HeldOut.read(pairs)
    names = pairs.map(lambda row: row[features.ID])
    images = scorer.images(pairs.map(inputs.decode_pixels).as_numpy_iterator())
    captions = scorer.captions(held_out.tokens)
    logits = scorer.pairs(images, captions)
    # As the served model says 0 of it, whatever the picture.
    logits[(held_out.tokens == PADDING_ID).all(axis=1)] = -np.inf
    count = len(logits)
    drawn = np.sort(np.random.default_rng(seed).permutation(count)[:most])
    confidence = np.empty(count, np.float32)
    found = {
        "id": np.array(list(names.as_numpy_iterator())),
        "logit": logits,
        "log_confidence": confidence,
    }
    for kind, others in (("pictures", images[drawn]), ("captions", captions[drawn])):
        better, compared = np.zeros(count, np.float32), np.zeros(count, np.int64)
        step = max(1, SCORED_AT_ONCE // len(drawn))
        for start in range(0, count, step):
            rows = np.arange(start, min(start + step, count))
            own = np.repeat((captions if kind == "pictures" else images)[rows], len(drawn), axis=0)
            other = np.tile(others, (len(rows), 1))
            pair = (other, own) if kind == "pictures" else (own, other)
            scores = scorer.pairs(*pair).reshape(len(rows), len(drawn))
            is_wrong = held_out.are_negatives(rows[:, None], drawn[None])
            ahead = scores - logits[rows, None]
            better[rows] = np.sum(is_wrong * (np.sign(ahead) + 1) / 2, axis=1)
            compared[rows] = is_wrong.sum(axis=1)
            if kind == "captions":
                all_of_it = np.logaddexp.reduce(np.where(is_wrong, scores, -np.inf), axis=1)
                confidence[rows] = logits[rows] - np.logaddexp(logits[rows], all_of_it)
            reporting.report(f"comparing {kind}", int(rows[-1]) + 1, count)
        found[f"{kind}_better"], found[f"{kind}_compared"] = better, compared
    return found

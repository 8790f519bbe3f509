"""Pairs of the training split, judged by models that did not learn from their groups.

What a model says of pairs that it learned from tells nothing about others, and a small validation
split holds too few true pairs to fit probabilities to. So, as John Platt proposes in "Probabilistic
Outputs for Support Vector Machines" (1999, section 2.1), parts of the training split are left out;
for each a model is trained on all the rest, and asked about the part. What all of them said is what
the probabilities are fitted to.

Platt leaves out thirds. Where data are short, a model that learned from two thirds is far less sure
of its ground than the one that is served, so the parts are small here, and need not be all.
"""

import io
import logging
from collections import Counter
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from core import features, reporting
from core.errors import DexmatchError
from modules.network.model import PairModel
from modules.training import checkpoints, distribution, fitting, inputs, training
from modules.training.held_out import Judged
from modules.training.learner import Learner

_JUDGED = "judged.npz"
_AT_ONCE = 64
# A caption of another group is soon found but where one group is nearly all there is.
_MOST_DRAWS = 100

_log = logging.getLogger(f"{reporting.LOGGER}.cross_fitting")


@dataclass(frozen=True)
class Part:
    """A part of the training split.

    Attributes:
      pairs: true pairs, as `modules.training.inputs.pair_rows` returns them.
      rest: all others of the training split, for a model to learn from.
      wrong: captions that are set against the part's pictures.
      hard: how many of these are nearly right ones, if there are as many.
      seed: of the draw.
    """

    pairs: tf.data.Dataset
    rest: fitting.Data
    wrong: int
    hard: int
    seed: int


def parts(data: fitting.Data, learner: Learner, hard_negatives: int) -> list[Part]:
    """Cuts `trainer.calibration_folds` parts of the same size out of the training split.

    The pairs of a group stay together. There will be as many negatives for each true one as in
    the validation split, and as many hard ones among them.

    Args:
      data: both splits.
      learner: who will be trained.
      hard_negatives: per picture of the validation split, `pairs.hard_negatives`.

    Raises:
      DexmatchError: there are too few groups, too few pairs for the replicas, or no true or no
        wrong pairs in the validation split.
    """
    settings = learner.settings
    if not settings.calibration_folds:
        return []
    count = round(1 / settings.calibration_fold_share)
    groups = inputs.counted(data.train, features.GROUP_HASH)
    # Else a part, or what is left without it, could be one group: no caption would be wrong.
    if len(groups) < 2 * count:
        raise DexmatchError(
            f"trainer.calibration_fold_share = {settings.calibration_fold_share} needs {2 * count} "
            f"groups to train on, and there are {len(groups)}; set calibration_folds to 0"
        )
    labels = inputs.counted(data.val, features.LABEL)
    if not (labels[0] and labels[1]):
        raise DexmatchError(
            f"trainer.calibration_folds = {settings.calibration_folds}, but the "
            f"{labels.total()} pairs to validate on are not both true and wrong ones; set it to 0, "
            "or give the split more groups (data.val_buckets)"
        )
    part_of = _shared_out(groups, count)
    sizes = Counter(part_of[group] for group in groups.elements())
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            list(part_of), list(part_of.values()), tf.int64, tf.int64
        ),
        default_value=-1,
    )

    def part(index: int) -> Part:
        def belongs(row: dict[str, tf.Tensor]) -> tf.Tensor:
            return table.lookup(row[features.GROUP_HASH]) == index

        rest = data.train.filter(lambda row: ~belongs(row))
        left = groups.total() - sizes[index]
        return Part(
            pairs=data.train.filter(belongs),
            rest=fitting.cut(rest, data.val, left, settings, learner.strategy),
            wrong=round(sizes[index] * labels[0] / labels[1]),
            hard=sizes[index] * hard_negatives,
            seed=settings.seed + index,
        )

    return [part(index) for index in range(settings.calibration_folds)]


def _shared_out(groups: Counter[int], count: int) -> dict[int, int]:
    """The part of each group: the largest ones first, each to the part that is the smallest."""
    sizes = [0] * count
    part_of = {}
    for group, pairs in sorted(groups.items(), key=lambda item: (-item[1], item[0])):
        smallest = sizes.index(min(sizes))
        part_of[group] = smallest
        sizes[smallest] += pairs
    return part_of


def judge(chosen: list[Part], learner: Learner, folder: str) -> list[Judged]:
    """Trains a model for each part on the rest, and asks it about the part.

    Args:
      chosen: see `parts`.
      learner: who is trained.
      folder: for what a run after a kill goes on from.

    Raises:
      DexmatchError: see `Learner.train`.
    """
    return [
        _judged_part(part, index, len(chosen), learner, f"{folder}/part_{index}")
        for index, part in enumerate(chosen)
    ]


def _judged_part(part: Part, index: int, count: int, learner: Learner, folder: str) -> Judged:
    kept = f"{folder}/{_JUDGED}"
    if tf.io.gfile.exists(kept):
        _log.info("calibration %d of %d ended in an earlier run", index + 1, count)
        with tf.io.gfile.GFile(kept, "rb") as file, np.load(io.BytesIO(file.read())) as arrays:
            return Judged(arrays["logits"], arrays["labels"])
    folders = fitting.Folders(checkpoints=f"{folder}/checkpoints", logs=None)
    with reporting.part(f"calibration {index + 1} of {count}", index + 1, count + 1):
        judged = ask(learner.train(part.rest, folders), part)
    if distribution.is_chief():
        content = io.BytesIO()
        np.savez(content, **judged._asdict())
        checkpoints.write(kept, content.getvalue())
        checkpoints.remove(folders.checkpoints)
    return judged


def ask(trainer: training.PairTrainer, part: Part) -> Judged:
    """What a model says of a part: of its true pairs, then of hard wrong ones, then of random ones.

    Args:
      trainer: has learned from the rest.
      part: whose pictures are set against captions of the part, as far as there are any, because
        the others are none that the model meets for the first time.
    """
    rows = _Rows.of(part.pairs)
    count = len(rows.tokens)
    hard_pictures, hard_tokens = _hard_pairs(rows, min(part.hard, part.wrong))
    pictures, captions = _random_pairs(
        rows, part.wrong - len(hard_pictures), np.random.default_rng(part.seed)
    )
    labels = np.zeros(count + len(hard_pictures) + len(pictures), np.float32)
    labels[:count] = 1
    logits = _logits(
        trainer.model,
        part.pairs.map(inputs.pixels),
        np.concatenate([np.arange(count), hard_pictures, pictures]),
        np.concatenate([rows.tokens, hard_tokens, rows.tokens[captions]]),
    )
    return Judged(logits, labels)


@dataclass(frozen=True)
class _Rows:
    """What decides which captions of a part are wrong for which of its N pictures.

    Attributes:
      tokens: the true captions, int64 [N, L].
      hard: candidates for hard wrong ones, N times int64 [n, L].
      groups: int64 [N].
    """

    tokens: np.ndarray
    hard: list[np.ndarray]
    groups: np.ndarray

    @classmethod
    def of(cls, pairs: tf.data.Dataset) -> "_Rows":
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

    def may_be_true(self, pictures: np.ndarray, captions: np.ndarray) -> np.ndarray:
        """bool [M], of pictures and captions by their numbers, each int64 [M]."""
        same_words = (self.tokens[pictures] == self.tokens[captions]).all(axis=1)
        return (self.groups[pictures] == self.groups[captions]) | same_words


def _hard_pairs(rows: _Rows, count: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` of the candidates: captions of the part first, then one of each picture."""
    own = {line.tobytes() for line in rows.tokens}
    candidates = sorted(
        (line.tobytes() not in own, rank, picture)
        for picture, lines in enumerate(rows.hard)
        for rank, line in enumerate(lines)
    )[:count]
    pictures = np.array([picture for _, _, picture in candidates], np.int64)
    tokens = [rows.hard[picture][rank] for _, rank, picture in candidates]
    return pictures, np.array(tokens, np.int64).reshape(-1, rows.tokens.shape[1])


def _random_pairs(
    rows: _Rows, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of pictures and of captions that are wrong for them; every picture's turn comes."""
    everything = len(rows.tokens)
    pictures = np.resize(generator.permutation(everything), count)
    captions = generator.integers(everything, size=count)
    for _ in range(_MOST_DRAWS):
        doubtful = np.flatnonzero(rows.may_be_true(pictures, captions))
        if not len(doubtful):
            break
        captions[doubtful] = generator.integers(everything, size=len(doubtful))
    wrong = ~rows.may_be_true(pictures, captions)
    return pictures[wrong], captions[wrong]


def _logits(
    model: PairModel, pixels: tf.data.Dataset, pictures: np.ndarray, tokens: np.ndarray
) -> np.ndarray:
    """float32 [M], of pictures by their numbers, int64 [M], and captions, int64 [M, L]."""
    encode = tf.function(
        lambda batch: model.image_encoder(tf.cast(batch, tf.float32), training=False)
    )
    images = tf.concat([encode(batch) for batch in pixels.batch(_AT_ONCE)], axis=0)

    @tf.function
    def score(numbers: tf.Tensor, captions: tf.Tensor) -> tf.Tensor:
        embeddings = [
            tf.gather(images, numbers),
            model.caption_encoder(captions, training=False),
        ]
        return model.matcher(embeddings, training=False)

    pairs = tf.data.Dataset.from_tensor_slices((pictures, tokens)).batch(_AT_ONCE)
    return np.concatenate([score(*batch).numpy() for batch in pairs])

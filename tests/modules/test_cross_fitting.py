"""Folds of the training split, and what is said of them by who did not learn from them."""

import logging
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from core import features, reporting
from core.config import Config, PairsConfig, TrainerConfig
from core.errors import DexmatchError
from modules.export.scoring import Scorer
from modules.training import cross_fitting, folds
from modules.training.frozen_features import FrozenFeatures
from modules.training.inputs import Splits, TrainingData

pytestmark = pytest.mark.slow

LENGTH = 2
# A model that is better than chance, or there would be nothing to calibrate.
TRAINED = (
    "trainer.epochs=2",
    "trainer.batch_size=3",
    "trainer.warmup_epochs=2",
    "model.dropout=0.3",
    'model.caption_pooling="max"',
)
FOLDED = (*TRAINED, "trainer.calibration_folds=2", "trainer.calibration_fold_share=0.5")


def rows(numbers, hard=lambda _: ()):
    """Pairs of which picture and caption tell the number; three of a kind make a group."""
    numbers = list(numbers)

    def tokens(captions):
        return np.array([(caption, 1) for caption in captions], np.int64).reshape(-1, LENGTH)

    plain = tf.data.Dataset.from_tensor_slices(
        {
            features.PIXELS: [
                tf.io.encode_png(np.full((2, 2, 3), number, np.uint8)).numpy() for number in numbers
            ],
            features.TOKENS: tokens(numbers),
            features.GROUP_HASH: np.array(numbers, np.int64) // 3,
            features.LABEL: np.ones(len(numbers), np.int64),
        }
    )
    candidates = tf.ragged.constant(
        [tokens(hard(number)).ravel().tolist() for number in numbers],
        ragged_rank=1,
        dtype=tf.int64,
    )
    beside = tf.data.Dataset.from_tensor_slices(candidates)
    return tf.data.Dataset.zip(plain, beside).map(
        lambda row, tokens: {**row, features.HARD_TOKENS: tokens}
    )


def val(right, wrong):
    return tf.data.Dataset.from_tensor_slices({features.LABEL: [1] * right + [0] * wrong})


def cut(train, judged=None, folds=3, hard_negatives=1):
    data = TrainingData(Splits(train, judged or val(4, 8)), batch_size=4, steps=1)
    config = Config(
        trainer=TrainerConfig(calibration_folds=folds, calibration_fold_share=0.33, seed=5),
        pairs=PairsConfig(hard_negatives=hard_negatives),
    )
    setup = SimpleNamespace(config=config, strategy=tf.distribute.get_strategy())
    return cross_fitting.split_folds(data, setup)


def values(pairs, name):
    return [row[name] for row in pairs.as_numpy_iterator()]


# Its logit tells the image's number and the caption's.
TELLTALE = Scorer(
    encode_image=lambda pixels: tf.cast(tf.reduce_max(pixels, axis=(1, 2, 3)), tf.float32)[:, None],
    encode_caption=lambda tokens: tf.cast(tokens[:, :1], tf.float32),
    score_embeddings=lambda images, captions: images[:, 0] * 1000 + captions[:, 0],
)


def asked(fold):
    """(image, caption, label) of every pair that a model is asked about."""
    scored = cross_fitting.score_pairs(TELLTALE, fold)
    assert scored.logits.dtype == scored.labels.dtype == np.float32
    return [
        (int(logit) // 1000, int(logit) % 1000, int(label))
        for logit, label in zip(*scored, strict=True)
    ]


def test_each_group_is_in_one_fold_and_nobody_learns_from_the_fold_it_scores():
    everything = range(33)
    found = cut(rows(everything))
    seen = []
    for fold in found:
        judged = [tokens[0] for tokens in values(fold.pairs, features.TOKENS)]
        learned = [tokens[0] for tokens in values(fold.rest.pictures.train, features.TOKENS)]
        assert sorted(judged + learned) == list(everything)
        groups = [
            set(values(each, features.GROUP_HASH))
            for each in (fold.pairs, fold.rest.pictures.train)
        ]
        assert not groups[0] & groups[1]
        assert fold.rest.steps == len(learned) // fold.rest.batch_size
        seen += judged
    assert sorted(seen) == list(everything)


def test_folds_need_not_be_all_there_is():
    assert cut(rows(range(33)), folds=0) == []
    one, other = cut(rows(range(33)), folds=2)
    judged = [tokens[0] for fold in (one, other) for tokens in values(fold.pairs, features.TOKENS)]
    assert len(judged) == len(set(judged)) < 33


def test_folds_are_near_to_equal_where_groups_are_not():
    groups = Counter({1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 4, 7: 9})
    fold_of = folds.assign_groups(groups, 3)
    sizes = Counter()
    for group, pairs in groups.items():
        sizes[fold_of[group]] += pairs
    assert sorted(sizes.values()) == [8, 9, 9]


def test_wrong_captions_are_as_many_and_as_hard_as_in_the_validation_split():
    # The next number's caption, mostly of the same fold, and one that no fold has.
    (fold, *_) = cut(rows(range(33), hard=lambda number: (number // 3 * 3 + 3, 500 + number)))
    pairs = asked(fold)
    own = {tokens[0] for tokens in values(fold.pairs, features.TOKENS)}
    count = len(own)
    assert sorted(pairs[:count]) == sorted((number, number, 1) for number in own)
    hard, random = pairs[count : 2 * count], pairs[2 * count :]
    assert len(random) == count
    for picture, caption, label in hard:
        assert label == 0
        assert caption in (picture // 3 * 3 + 3, 500 + picture)
    for picture, caption, label in random:
        assert label == 0
        assert caption in own
        assert caption // 3 != picture // 3
    assert {picture for picture, _, _ in random} == own


def test_hard_captions_of_the_fold_come_before_those_that_the_model_knows():
    (fold, *_) = cut(rows(range(33), hard=lambda number: (500 + number, (number + 9) % 33)))
    own = {tokens[0] for tokens in values(fold.pairs, features.TOKENS)}
    inside = {(number, (number + 9) % 33, 0) for number in own if (number + 9) % 33 in own}
    hard = asked(fold)[len(own) : 2 * len(own)]
    assert inside
    assert set(hard[: len(inside)]) == inside
    assert all(caption == 500 + picture for picture, caption, _ in hard[len(inside) :])


def test_random_captions_stand_in_for_hard_ones_that_are_not_there():
    (fold, *_) = cut(rows(range(33)), judged=val(2, 6), hard_negatives=2)
    pairs = asked(fold)
    count = len(values(fold.pairs, features.TOKENS))
    assert len(pairs) == 4 * count
    assert sum(label for _, _, label in pairs) == count


def test_the_same_seed_asks_the_same():
    one, again = (asked(cut(rows(range(33)))[0]) for _ in range(2))
    assert one == again


@pytest.mark.parametrize(
    ("train", "judged", "text"),
    [
        (15, val(4, 8), "needs 6 groups to train on, and there are 5; set calibration_folds to 0"),
        (33, val(4, 0), "the 4 pairs to validate on are not both true and wrong ones"),
        (33, val(0, 4), "the 4 pairs to validate on are not both true and wrong ones"),
    ],
)
def test_what_cannot_be_cut_is_told_in_one_line(train, judged, text):
    with pytest.raises(DexmatchError, match=text) as raised:
        cut(rows(range(train)), judged)
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def folded(runs, tiny_backbone, transformed, tmp_path_factory):
    """The folder of a training with two folds, its weights, and its log records."""
    folder = tmp_path_factory.mktemp("folded")
    records = []
    handler = logging.Handler(logging.INFO)
    handler.emit = records.append
    logger = logging.getLogger(reporting.LOGGER)
    # Not the attribute alone: a logger remembers which levels it passes on.
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        weights = runs.train(transformed, folder, *FOLDED)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return folder, weights, records


def test_only_the_calibration_changes(runs, tiny_backbone, transformed, folded, tmp_path):
    plain = runs.train(transformed, tmp_path, *TRAINED)
    found = folded[1]
    assert plain.keys() == found.keys()
    changed = [name for name in plain if not np.array_equal(plain[name], found[name])]
    assert [plain[name].shape for name in changed] == [(), (), ()]


def test_the_progress_counts_all_trainings(folded):
    epochs = [
        (record.getMessage().split(":")[0], record.progress)
        for record in folded[2]
        if "epoch" in record.getMessage()
    ]
    # 12 pairs, and 3 a step; then two folds of 6, and as many to learn from.
    assert epochs == [
        ("epoch 1 of 2", (4, 24)),
        ("epoch 2 of 2", (8, 24)),
        ("calibration 1 of 2, epoch 1 of 2", (6, 12)),
        ("calibration 1 of 2, epoch 2 of 2", (8, 12)),
        ("calibration 2 of 2, epoch 1 of 2", (10, 12)),
        ("calibration 2 of 2, epoch 2 of 2", (12, 12)),
    ]


def test_whoever_looks_at_the_training_looks_at_the_model_that_is_served(folded):
    assert [path.name for path in (folded[0] / "model_run").iterdir()] == ["fine_tuning"]


def test_an_interrupted_one_goes_on_and_ends_the_same(
    runs, tiny_backbone, transformed, folded, tmp_path, caplog
):
    shared = tmp_path / "checkpoints"
    with runs.interrupted(2, 1):
        runs.train(transformed, tmp_path / "begun", *FOLDED, checkpoints=shared)
    caplog.set_level(logging.INFO, logger=reporting.LOGGER)
    resumed = runs.train(transformed, tmp_path / "resumed", *FOLDED, checkpoints=shared)
    assert "calibration 1 of 2 ended in an earlier run" in caplog.text
    assert "calibration 2 of 2, resuming after epoch 1 of 2" in caplog.text
    runs.assert_same(folded[1], resumed)
    assert not list(shared.iterdir())


def test_all_models_share_the_features_of_the_frozen_backbone(
    runs, tiny_backbone, transformed, tmp_path, monkeypatch
):
    computed = []
    write = FrozenFeatures._write

    def counted(self, rows, split, batch_size):
        computed.append(split)
        return write(self, rows, split, batch_size)

    monkeypatch.setattr(FrozenFeatures, "_write", counted)
    shared = tmp_path / "checkpoints"
    frozen = ("trainer.frozen_epochs=1", "trainer.epochs=0", "trainer.calibration_folds=1")
    runs.train(transformed, tmp_path, *FOLDED, *frozen, checkpoints=shared)
    assert computed == ["train", "val"]
    assert not list(shared.iterdir())

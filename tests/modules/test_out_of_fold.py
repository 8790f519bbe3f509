"""Who judges which pair, and with what it is compared."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from core import features
from core.config import Config
from modules.export.scoring import Scorer
from modules.training import folds, out_of_fold
from modules.training.held_out import HeldOut, WrongPairs, with_wrong_pairs
from modules.training.inputs import Splits

LENGTH = 2


def rows(numbers, captions=None):
    """Pairs of which picture, id and, unless told otherwise, caption are the number."""
    numbers = list(numbers)
    words = numbers if captions is None else captions
    return tf.data.Dataset.from_tensor_slices(
        {
            features.ID: [b"%d" % number for number in numbers],
            features.PIXELS: [
                tf.io.encode_png(np.full((2, 2, 3), number, np.uint8)).numpy() for number in numbers
            ],
            features.TOKENS: np.array([(word, 0) for word in words], np.int64),
            features.GROUP_HASH: np.array(numbers, np.int64) // 3,
            features.LABEL: np.ones(len(numbers), np.int64),
        }
    )


def groups(pairs):
    return {int(row[features.GROUP_HASH]) for row in pairs.as_numpy_iterator()}


@pytest.fixture
def asked(monkeypatch):
    """What the models of the folds would learn from, be watched on, and judge."""
    seen = []

    def fit_for_fold(rest, setup, folder, name, own):
        seen.append((rest, own, folder))
        return {"id": np.array([row[features.ID] for row in own.as_numpy_iterator()])}

    monkeypatch.setattr(out_of_fold, "_ask", lambda own, *_: own)
    monkeypatch.setattr(folds, "fit_for_fold", fit_for_fold)
    return seen


def test_nobody_judges_or_is_watched_on_what_it_learned_from(asked):
    config = Config()
    setup = SimpleNamespace(config=config, strategy=tf.distribute.get_strategy())
    pairs = rows(range(2, 74))
    found = out_of_fold.judge(Splits(pairs, pairs.take(0)), None, setup, 3, 100, "folder")
    assert sorted(int(name) for name in found["id"]) == list(range(2, 74))
    assert np.bincount(found["fold"]).tolist() == [24, 24, 24]
    assert [folder for _, _, folder in asked] == [f"folder/fold_{index}" for index in range(3)]
    for rest, own, _ in asked:
        learned, watched = groups(rest.pictures.train), groups(rest.pictures.val)
        judged = groups(own)
        assert not learned & judged
        assert not learned & watched
        assert not watched & judged
        assert learned | watched | judged == groups(pairs)
        labels = [int(row[features.LABEL]) for row in rest.pictures.val.as_numpy_iterator()]
        # One random wrong caption and one hard one, in whose place a random one stands here.
        assert (labels.count(1), labels.count(0)) == (12, 24)
        assert rest.steps == 36 // config.trainer.batch_size


def test_wrong_captions_follow_their_own_picture():
    pairs = rows([3, 6, 9])
    wrong = WrongPairs(np.array([2, 0, 2]), np.array([[6, 0], [9, 0], [3, 0]]))
    found = [
        (int(row[features.ID]), int(row[features.TOKENS][0]), int(row[features.LABEL]))
        for row in with_wrong_pairs(pairs, wrong, 3).as_numpy_iterator()
    ]
    assert found == [(3, 3, 1), (3, 9, 0), (6, 6, 1), (9, 9, 1), (9, 6, 0), (9, 3, 0)]
    assert HeldOut.read(pairs).groups.tolist() == [1, 2, 3]


# The nearer the numbers of image and caption, the better.
NEARNESS = Scorer(
    encode_image=lambda pixels: tf.cast(tf.reduce_max(pixels, axis=(1, 2, 3)), tf.float32)[:, None],
    encode_caption=lambda tokens: tf.cast(tokens[:, :1], tf.float32),
    score_embeddings=lambda images, captions: -tf.abs(images[:, 0] - captions[:, 0]),
)


def judged(numbers, captions, most=100):
    found = out_of_fold.judge_pairs(NEARNESS, rows(numbers, captions), most, seed=1)
    return {name: values.tolist() for name, values in found.items()}


def test_a_pair_is_compared_with_others_of_its_fold():
    # The first two have swapped their captions; the last two are of one group.
    found = judged([3, 9, 15, 16], [9, 3, 15, 17])
    assert found["id"] == [b"3", b"9", b"15", b"16"]
    assert found["logit"] == [-6, -6, 0, -1]
    assert found["pictures_compared"] == [3, 3, 2, 2]
    # Caption 9 is as far from 15 as from its own picture: that counts by half.
    assert found["pictures_better"] == [1.5, 1, 0, 0]
    assert found["captions_better"] == [1, 1.5, 0, 0]
    # Of its own caption, and those at 3, 15 and 17.
    others = np.exp([-6.0, 0.0, -12.0, -14.0])
    assert found["log_confidence"][0] == pytest.approx(np.log(others[0] / others.sum()), rel=1e-4)


def test_the_same_words_are_no_other_caption():
    found = judged([3, 9, 15], [9, 9, 15])
    assert found["captions_compared"] == [1, 1, 2]
    assert found["pictures_better"] == [0.5, 0, 0]


def test_a_caption_without_a_word_is_the_worst():
    found = judged([3, 9, 15], [0, 9, 15])
    assert found["logit"][0] == found["log_confidence"][0] == -np.inf
    assert found["pictures_better"][0] == found["pictures_compared"][0] == 2


def test_of_many_so_many_are_drawn_and_all_are_judged():
    numbers = range(3, 63)
    found = judged(numbers, list(numbers), most=7)
    assert len(found["id"]) == 60
    assert max(found["pictures_compared"]) <= 7
    assert found == judged(numbers, list(numbers), most=7)

import keras
import numpy as np
import pytest

from benchmarks import judging, seed_recipe
from benchmarks.judging import Pairs

pytestmark = pytest.mark.slow


def pairs(groups, captions):
    count = len(groups)
    return Pairs(groups, [b""] * count, captions, np.ones(count), np.array(["matched"] * count))


def test_wrong_captions_are_of_another_group_and_other_words():
    groups = ["a", "a", "b", "b", "c"] * 8
    captions = ["red", "blue", "red", "green", "blue"] * 8
    drawn = seed_recipe.random_negatives(pairs(groups, captions), seed=1)
    groups_of = {"red": {"a", "b"}, "blue": {"a", "c"}, "green": {"b"}}
    for group, caption, wrong in zip(groups, captions, drawn, strict=True):
        assert wrong != caption
        assert groups_of[wrong] - {group}


def test_the_seed_decides_which_captions_are_drawn():
    some = pairs([str(number) for number in range(50)], [f"word {n}" for n in range(50)])
    drawn = [seed_recipe.random_negatives(some, seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_one_group_alone_is_an_error():
    with pytest.raises(ValueError, match="group a: there is no caption of another group"):
        seed_recipe.random_negatives(pairs(["a", "a"], ["red", "blue"]), seed=1)


def test_pictures_of_every_kind_are_fitted_into_squares(pictures):
    decoded = seed_recipe.decode(list(pictures.values()), 32)
    assert decoded.shape == (len(pictures), 32, 32, 3)
    assert decoded.dtype == np.uint8


def test_the_rim_and_what_can_be_seen_through_are_white(pictures):
    tall, clear = seed_recipe.decode([pictures["tall.png"], pictures["rgba.png"]], 40)
    assert (tall[:, 0] == 255).all()
    assert not (tall[:, 20] == 255).all()
    # Opacity rises from the left to the right.
    assert (clear[:, 0] == 255).all()
    assert not (clear[6:34, -1] == 255).all()


@pytest.fixture
def small_backbone(monkeypatch):
    """In the place of EfficientNetB0, which takes half a minute to start training."""

    def make(include_top, weights, input_shape, pooling):
        assert not include_top and weights is None and pooling == "avg"
        layers = [keras.layers.Input(input_shape), keras.layers.GlobalAveragePooling2D()]
        return keras.Sequential(layers)

    monkeypatch.setattr(keras.applications, "EfficientNetB0", make)


@pytest.fixture
def split(monkeypatch, pictures):
    """Train, val and test pairs, eight pictures each."""
    kinds = np.array(["matched", "random", "hard", "matched"] * 2)

    def read(folder, name):
        train = name == "train"
        return Pairs(
            groups=[str(number) for number in range(8)],
            images=[pictures["rgb.png"], pictures["tall.png"]] * 4,
            captions=[f"{name} word{number}" for number in range(8)],
            labels=np.ones(8) if train else (kinds == "matched").astype(np.int64),
            kinds=np.array(["matched"] * 8) if train else kinds,
        )

    monkeypatch.setattr(judging, "read", read)


def test_training_notes_every_epoch_and_scores_the_test_pairs(small_backbone, split, tmp_path):
    trained = seed_recipe.train_and_score(tmp_path, epochs=2, size=32)
    assert len(trained.curve) == 2
    times = [seconds for seconds, _ in trained.curve]
    assert times == sorted(times) and times[-1] <= trained.seconds
    assert all(0 <= auc <= 1 for _, auc in trained.curve)
    assert set(trained.figures) == {"auc", "auc_random", "auc_hard", "ece", "matched_probability"}


def test_training_stops_when_the_time_is_up(small_backbone, split, tmp_path):
    trained = seed_recipe.train_and_score(tmp_path, epochs=9, size=32, minutes=0)
    assert len(trained.curve) == 1
    assert trained.figures

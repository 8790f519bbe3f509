import numpy as np
import pytest

from benchmarks import seed_recipe
from benchmarks.judging import Pairs


def pairs(groups, captions):
    count = len(groups)
    return Pairs(groups, [b""] * count, captions, np.ones(count), np.array(["matched"] * count))


def test_wrong_captions_are_of_another_group_and_other_words():
    groups = ["a", "a", "b", "b", "c"] * 8
    captions = ["red", "blue", "red", "green", "blue"] * 8
    drawn = seed_recipe.wrong_captions(pairs(groups, captions), seed=1)
    groups_of = {"red": {"a", "b"}, "blue": {"a", "c"}, "green": {"b"}}
    for group, caption, wrong in zip(groups, captions, drawn, strict=True):
        assert wrong != caption
        assert groups_of[wrong] - {group}


def test_the_seed_decides_which_captions_are_drawn():
    some = pairs([str(number) for number in range(50)], [f"word {n}" for n in range(50)])
    drawn = [seed_recipe.wrong_captions(some, seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_one_group_alone_is_an_error():
    with pytest.raises(ValueError, match="group a: there is no caption of another group"):
        seed_recipe.wrong_captions(pairs(["a", "a"], ["red", "blue"]), seed=1)


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

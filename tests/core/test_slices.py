"""Names of slices, and which of them a threshold means."""

import pytest

from core import buckets, slices

COLOR, KIND, CONTEST = ("color", "red"), ("pair_kind", "hard"), ("against", "hard")


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ((), "overall"),
        ((COLOR,), "color:red"),
        ((COLOR, ("shape", "round")), "color:red × shape:round"),
        ((("ratio", "1:2"),), "ratio:1:2"),
    ],
)
def test_a_name_is_made_from_parts_and_taken_apart_again(parts, name):
    assert slices.slice_name(parts) == name
    assert slices.parts_of(name) == parts


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((), False),
        ((KIND,), False),
        ((CONTEST, KIND), False),
        ((COLOR,), True),
        ((("caption_length", "1-50"),), True),
        ((CONTEST, COLOR), True),
    ],
)
def test_every_slice_is_each_one_by_metadata(parts, told):
    assert slices.is_meant(parts, slices.parts_of("*:*")) is told


@pytest.mark.parametrize(
    ("asked", "parts", "told"),
    [
        ("overall", (), True),
        ("overall", (COLOR,), False),
        ("color:red", (COLOR,), True),
        ("color:blue", (COLOR,), False),
        ("color:red", (COLOR, KIND), False),
        ("color:red × pair_kind:hard", (COLOR,), False),
        ("color:*", (COLOR,), True),
        ("color:*", (), False),
        ("shape:*", (COLOR,), False),
        # In any order.
        ("pair_kind:* × color:red", (COLOR, KIND), True),
        # Numbers are compared as such.
        ("year:2020", (("year", 2020),), True),
        ("year:2020", (("year", "2020.0"),), True),
        ("year:2020", (("year", "2021"),), False),
    ],
)
def test_a_threshold_means_the_slices_that_its_parts_fit(asked, parts, told):
    assert slices.is_meant(parts, slices.parts_of(asked)) is told


VALUES = {"color": ("red", "blue"), "legs": (2, 4), "ratio": (0.5, 2.0)}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("overall", None),
        ("color:red", None),
        ("color:*", None),
        ("*:*", None),
        ("color:mauve", ("color", "mauve")),
        ("color:red × legs:3", ("legs", "3")),
        ("legs:4", None),
        ("legs:4.0", None),  # To TFMA these are one number.
        ("ratio:2", None),
        ("name:anything", None),
    ],
)
def test_a_value_that_no_pair_has_is_found(asked, told):
    assert slices.value_of_none(slices.parts_of(asked), VALUES) == told


def test_our_own_columns_have_the_values_that_pairs_are_given():
    values = slices.values_of_own(has_hard_negatives=True)
    assert values.keys() == set(slices.OWN_COLUMNS)
    assert values["against"] == ("random", "hard")
    assert slices.values_of_own(has_hard_negatives=False)["pair_kind"] == ("matched", "random")
    for length in (1, 50, 51, 400, 401, 9999):
        assert buckets.caption_length(b"x" * length).decode() in values["caption_length"]
    for side in (1, 64, 65, 1024, 1025):
        assert buckets.image_size(side, 1).decode() in values["image_size"]

"""Names of slices, and which of them a threshold means."""

import pytest

from core import slices

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

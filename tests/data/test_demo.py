"""The demo's creatures: what they are, what is said of them, how they look."""

import colorsys
import csv
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from core.errors import DexmatchError
from data.demo import captions, generator
from data.demo.captions import WORDING, describe, describe_wrongly, looks_of, stated
from data.demo.creatures import ATTRIBUTES, MAX_FAMILY, Creature, generate
from data.demo.painting import draw

CREATURES = list(generate())
# Middle of each colour's hues, in degrees; white and black have none.
HUES = {"red": 1, "yellow": 48, "green": 132, "blue": 221, "purple": 277, "pink": 335}


def one(**attributes) -> Creature:
    return replace(CREATURES[0], **attributes)


def test_the_cast_is_the_same_every_time_and_a_smaller_one_its_beginning():
    assert list(generate()) == CREATURES
    assert list(generate(100)) == CREATURES[:100]
    assert list(generate(100, seed=8)) != CREATURES[:100]


def test_families_share_colour_body_and_pattern():
    families = {}
    for creature in CREATURES:
        families.setdefault(creature.family, []).append(creature)
    assert len(families) > 350
    for members in families.values():
        assert 1 <= len(members) <= MAX_FAMILY
        assert len({(each.color, each.body, each.pattern) for each in members}) == 1
        assert [each.stage for each in members] == list(range(1, len(members) + 1))


@pytest.mark.parametrize("attribute", list(ATTRIBUTES))
def test_every_value_is_about_as_frequent_as_the_others(attribute):
    counts = Counter(getattr(creature, attribute) for creature in CREATURES)
    assert set(counts) == set(ATTRIBUTES[attribute])
    assert max(counts.values()) < 1.4 * min(counts.values())


def test_no_phrase_stands_in_another_values_phrase():
    everything = [
        (attribute, value, phrase)
        for attribute, values in WORDING.items()
        for value, phrases in values.items()
        for phrase in phrases
    ]
    for attribute, value, phrase in everything:
        assert stated(phrase) == {attribute: value}, phrase


def test_captions_are_true():
    for creature in CREATURES:
        looks = looks_of(creature)
        said = stated(describe(looks, random.Random(creature.seed)))
        assert len(said) >= 4
        assert said.items() <= looks.items()


def test_hard_captions_are_wrong_in_exactly_one_thing():
    wrong = Counter()
    for creature in CREATURES:
        looks = looks_of(creature)
        hard = describe_wrongly(creature, random.Random(creature.seed))
        errors = [
            [name for name, value in stated(caption).items() if looks[name] != value]
            for caption in hard
        ]
        assert [len(each) for each in errors] == [1] * captions.HARD_CAPTIONS
        assert len({each[0] for each in errors}) == captions.HARD_CAPTIONS
        wrong.update([errors[0][0]])
    assert max(wrong.values()) < 1.6 * min(wrong.values())


def test_captions_do_not_repeat():
    said = [generator.row(creature)["caption"] for creature in CREATURES]
    assert len(set(said)) == len(said)
    assert all(caption[0].isupper() and caption[-1] in ".!" for caption in said)
    assert 150 <= len(captions.distinct_words(said)) <= 300


def test_the_same_creature_looks_the_same_every_time():
    first, again = draw(CREATURES[0]), draw(CREATURES[0])
    assert (first.mode, first.size) == ("RGB", (128, 128))
    assert first.tobytes() == again.tobytes()
    assert draw(one(seed=1)).tobytes() != first.tobytes()


@pytest.mark.parametrize(
    ("attribute", "value"),
    [(attribute, value) for attribute, values in ATTRIBUTES.items() for value in values],
)
def test_every_value_shows(attribute, value):
    """Against another value of the same attribute, in a small picture."""
    other = next(each for each in ATTRIBUTES[attribute] if each != value)
    here, there = (
        np.asarray(draw(one(**{attribute: each}), 64)).astype(int) for each in (value, other)
    )
    changed = (np.abs(here - there).max(axis=-1) > 40).mean()
    assert changed > 0.01


@pytest.mark.parametrize("color", list(ATTRIBUTES["color"]))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_colour_is_the_one_that_its_name_says(color, seed):
    creature = one(color=color, body="blob", pattern="plain", part="none", seed=seed)
    pixels = np.asarray(draw(creature))
    # Below the face; the median is no highlight and no shadow.
    red, green, blue = np.median(pixels[76:88, 56:72].reshape(-1, 3), axis=0) / 255
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    if color == "white":
        assert lightness > 0.85
    elif color == "black":
        assert lightness < 0.35
        assert saturation < 0.25
    else:
        apart = abs(hue * 360 - HUES[color])
        assert min(apart, 360 - apart) < 12
        assert saturation > 0.4


def test_a_folder_is_written_the_same_twice(tmp_path):
    done = []
    for name in ("one", "two"):
        generator.write_folder(tmp_path / name, count=6, size=32, on_progress=done.append)
    assert done == [1, 2, 3, 4, 5, 6] * 2
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 7
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    rows = list(csv.DictReader((tmp_path / "one" / generator.CSV).open(encoding="utf-8")))
    assert [row["image"] for row in rows] == [f"images/{n:04}.png" for n in range(1, 7)]
    assert all(len(row["hard_caption"].split("|")) == captions.HARD_CAPTIONS for row in rows)


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(DexmatchError, match="exists already"):
        generator.write_folder(tmp_path, count=3)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(generator, "_write_captions", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generator.write_folder(tmp_path / "demo", count=2, size=32)
    assert list(tmp_path.iterdir()) == []

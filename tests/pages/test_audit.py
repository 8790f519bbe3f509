"""What an audit finds in judgments and data, and the sheet that shows it."""

import dataclasses
import html

import pytest
from PIL import Image

from data import importer
from pages.audit import findings, sheet
from results.judgments import Judgment

EVIL = "<script>alert(1)</script>"
PLAIN = Judgment(
    fold=0,
    probability=0.9,
    log_confidence=-1.0,
    pictures_better=0.02,
    captions_better=0.03,
    nearest="00.png",
    similarity=0.3,
    difference=60.0,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """24 pairs of as many groups; the first two captions say the same."""
    folder = tmp_path_factory.mktemp("source")
    lines = ["image,caption,group,color"]
    for number in range(24):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(folder / f"{number:02}.png")
        caption = "The same  words" if number < 2 else f"caption {number} {EVIL}"
        lines.append(f"{number:02}.png,{caption},g{number},{'red' if number < 12 else 'blue'}")
    (folder / "captions.csv").write_text(
        "\n".join(lines).replace("The same  words,g1", "the same words,g1")
    )
    return importer.import_pairs(
        folder / "captions.csv", folder / "set", num_workers=1, say=lambda _: None
    )


def judged(**changes):
    """Judgments of all pairs; `changes` by the number of the pair, as `_3`."""
    found = {f"{number:02}.png": PLAIN for number in range(24)}
    for number, change in changes.items():
        name = f"{int(number[1:]):02}.png"
        found[name] = dataclasses.replace(PLAIN, **change)
    return found


def test_the_most_doubtful_come_first_and_say_why(made):
    wrong = {"probability": 0.05, "pictures_better": 0.7, "log_confidence": -9.0}
    unlikely = {"probability": 0.01, "log_confidence": -8.0}
    found = findings.gather(made, judged(_5=wrong, _7=unlikely))
    assert [pair.id for pair in found.ranked[:2]] == ["05.png", "07.png"]
    assert [pair.reasons for pair in found.doubtful] == [("unlikely", "outdone"), ("unlikely",)]
    assert len(found.ranked) == 24
    assert found.unjudged == ()


def test_a_picture_that_stands_twice_is_told_once(made):
    twin = {"similarity": 0.99, "difference": 2.0}
    changes = {"_3": {**twin, "nearest": "04.png"}, "_4": {**twin, "nearest": "03.png"}}
    (one,) = findings.gather(made, judged(**changes)).near_duplicates
    assert {one.one.id, one.other.id} == {"03.png", "04.png"}


@pytest.mark.parametrize(
    "unlike", [{"similarity": 0.99, "difference": 60.0}, {"similarity": 0.3, "difference": 2.0}]
)
def test_pictures_that_are_alike_to_one_of_the_two_looks_do_not_stand_twice(made, unlike):
    assert not findings.gather(made, judged(_3={**unlike, "nearest": "04.png"})).near_duplicates


def test_captions_word_for_word_at_pictures_of_several_groups(made):
    (alike,) = findings.gather(made, judged()).repeated
    assert [pair.id for pair in alike] == ["00.png", "01.png"]
    twin = {"similarity": 0.99, "difference": 2.0, "nearest": "01.png"}
    assert not findings.gather(made, judged(_0=twin)).repeated


def test_slices_in_which_doubtful_captions_lie(made):
    doubtful = {f"_{number}": {"probability": 0.01} for number in range(12)}
    (found,) = findings.gather(made, judged(**doubtful)).slices
    assert found == findings.SliceShare("color:red", pairs=12, doubtful=12, expected=6.0)
    spread = {f"_{number}": {"probability": 0.01} for number in range(0, 24, 2)}
    assert not findings.gather(made, judged(**spread)).slices


def test_what_could_not_be_judged_is_told(made):
    judgments = judged()
    del judgments["09.png"]
    found = findings.gather(made, judgments)
    assert [pair.id for pair in found.unjudged] == ["09.png"]
    assert len(found.ranked) == 23


def test_the_sheet_shows_pictures_and_nothing_breaks_out_of_it(made, tmp_path):
    found = findings.gather(made, judged(_5={"probability": 0.01}))
    sheet.write(tmp_path / "sheet.html", made, found, most=3)
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert EVIL not in page
    assert html.escape(EVIL) in page
    shown = {pair.id for pair in found.ranked[:3]} | {"00.png", "01.png"}
    assert page.count("data:image/jpeg;base64,") == 5
    assert all(f'value="{name}"' in page for name in shown)
    assert 'src="http' not in page

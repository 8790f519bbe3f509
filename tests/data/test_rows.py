"""From records to rows: columns, captions, ids, types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DexmatchError
from data.columns import Columns, choose, metadata_of
from data.readers.base import Reader
from data.records import EmbeddedImage, Origin, Reason, Record, Reject, WrittenNumber
from data.rows import RowMaker, as_text
from data.survey import survey, value_type


class ListReader(Reader):
    """Records from a list of dicts."""

    format = "list"

    def __init__(self, *records, is_typed=True):
        self._records = records
        self.is_typed = is_typed

    def records(self, *, with_images):
        for row, fields in enumerate(self._records, start=1):
            yield Record(Origin("list", row), fields)


def rows_of(*records, is_typed=True, say=lambda _: None, types=None, **columns):
    """What the records become."""
    reader = ListReader(*records, is_typed=is_typed)
    found = survey(reader)
    chosen = choose(found, Columns(**columns), "list")
    maker = RowMaker(chosen, metadata_of(found, chosen, say, types or {}), is_typed)
    return [row for record in reader.records(with_images=True) for row in maker.rows(record)]


def one(**fields):
    return {"image": "a.png", "caption": "x", **fields}


def metadata(*values, is_typed=False):
    """How a column with these values is stored."""
    rows = rows_of(*(one(image=f"{n}", m=v) for n, v in enumerate(values)), is_typed=is_typed)
    return [row.metadata.get("m") for row in rows]


# Columns


@pytest.mark.parametrize(
    ("columns", "image", "caption"),
    [
        (["file_name", "text"], "file_name", "text"),
        (["url", "path", "title", "description"], "path", "description"),
        (["IMAGE", "TEXT"], "IMAGE", "TEXT"),
        (["text", "caption", "filename", "image"], "image", "caption"),
    ],
)
def test_guesses_columns(columns, image, caption):
    found = survey(ListReader(dict.fromkeys(columns, "x")))
    chosen = choose(found, Columns(), "list")
    assert (chosen.image, chosen.caption) == (image, caption)


def test_a_column_of_pictures_goes_before_one_of_names():
    found = survey(ListReader({"image": "a", "photo": EmbeddedImage("", b""), "caption": "x"}))
    assert choose(found, Columns(), "list").image == "photo"


@pytest.mark.parametrize(
    ("record", "columns", "message"),
    [
        ({"url": "x", "caption": "y"}, {}, "looks like the image; name it with --image-column"),
        ({"image": "x", "b": "y"}, {}, "looks like the caption.*columns: image, b"),
        (one(), {"group": "family"}, "--group-column family: no such column"),
        (one(), {"hard_caption": "h"}, "--hard-caption-column h"),
    ],
)
def test_says_which_column_is_missing(record, columns, message):
    with pytest.raises(DexmatchError, match=message):
        rows_of(record, **columns)


def test_names_of_metadata():
    said = []
    record = one(**{"a b": 1, "a-b": 2, "label": 3, "": 4, "empty": None, "fine": 5})
    (row,) = rows_of(record, say=said.append)
    assert row.metadata == {"a_b": 1, "a_b_2": 2, "label_column": 3, "column": 4, "fine": 5}
    assert "column 'label' is stored as 'label_column'" in said
    assert "column 'empty' is empty and is left out" in said
    assert not any("fine" in remark for remark in said)


# Types


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (["1", " -2 ", ""], [1, -2, None]),
        (["1", "2.5", "1e3"], ["1", "2.5", "1e3"]),
        (["2.10", "2.1"], ["2.10", "2.1"]),
        (["12E3", "12000"], ["12E3", "12000"]),
        (
            ["1234567890123456.1", "1234567890123456.2"],
            ["1234567890123456.1", "1234567890123456.2"],
        ),
        (["-0", "0"], ["-0", "0"]),
        (["+1", "1"], ["+1", "1"]),
        (["9" * 5000], ["9" * 5000]),
        (["1", "two", "  "], ["1", "two", None]),
        (["007", "1"], ["007", "1"]),
        (["nan", "1"], ["nan", "1"]),
        (["9223372036854775807"], [2**63 - 1]),
        (["9223372036854775808"], ["9223372036854775808"]),
        (["1e39"], ["1e39"]),
        (["1_000"], ["1_000"]),
        (["\u0661"], ["\u0661"]),
    ],
)
def test_types_of_text(values, stored):
    assert metadata(*values) == stored
    assert [type(value) for value in metadata(*values)] == [type(value) for value in stored]


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([1, None, True], [1, None, 1]),
        ([1, 2.5, float("nan")], ["1", "2.5", None]),
        (
            [0.1, WrittenNumber("2.10"), WrittenNumber("12E3"), 12000],
            ["0.1", "2.10", "12E3", "12000"],
        ),
        (["1", "2"], ["1", "2"]),
        ([[1, {"a": "é"}], "x"], ['[1,{"a":"é"}]', "x"]),
        ([2**63, 1], [str(2**63), "1"]),
        ([float("inf")], ["Infinity"]),
        ([True, "x"], ["true", "x"]),
    ],
)
def test_types_of_typed_values(values, stored):
    assert metadata(*values, is_typed=True) == stored


@pytest.mark.parametrize(
    ("kind", "values", "stored"),
    [
        ("float", ["0.1", "2", " 1e3 "], [0.1, 2.0, 1000.0]),
        ("int64", ["007", "-0"], [7, 0]),
        ("bytes", ["1", "2"], ["1", "2"]),
    ],
)
def test_a_type_that_was_asked_for(kind, values, stored):
    records = [one(image=f"{n}", m=value) for n, value in enumerate(values)]
    rows = rows_of(*records, is_typed=False, types={"m": kind})
    assert [row.metadata["m"] for row in rows] == stored
    assert [type(row.metadata["m"]) for row in rows] == [type(value) for value in stored]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("float", "cheap"),
        ("float", "1e39"),
        ("float", "nan"),
        ("int64", "2.5"),
        ("int64", "9" * 30),
    ],
)
def test_a_value_of_another_type_is_a_reject(kind, value):
    (row,) = rows_of(one(m=value), is_typed=False, types={"m": kind})
    assert row.reason == Reason.WRONG_TYPE
    assert "column m" in row.detail


@pytest.mark.parametrize("column", ["caption", "missing"])
def test_a_type_needs_a_metadata_column(column):
    with pytest.raises(DexmatchError, match=f"--type {column}"):
        rows_of(one(), types={column: "float"})


@given(st.integers() | st.floats(allow_nan=False) | st.text() | st.booleans() | st.none())
def test_every_value_has_a_type_that_can_hold_it(value):
    convert = {"int64": int, "float": float, "bytes": as_text, None: str}
    convert[value_type(value, is_typed=False) if value != "" else None](value)


# Captions and ids


def test_several_captions_of_one_picture():
    rows = rows_of(one(caption=["x", " y "]), one(image="b.png"), one(image="./a.png", caption="z"))
    assert [(row.id, row.caption) for row in rows] == [
        ("a.png", "x"),
        ("a.png#2", "y"),
        ("b.png", "x"),
        ("a.png#3", "z"),
    ]


def test_ids_stay_unique_when_a_picture_is_called_like_a_second_caption():
    rows = rows_of(one(image="a#2"), one(image="a"), one(image="a"), one(image="a#2"))
    ids = [row.id for row in rows]
    assert len(set(ids)) == 4


@given(st.lists(st.sampled_from(["a", "a#2", "a#2#2", "a#3"]), max_size=30))
def test_ids_are_always_unique(images):
    rows = rows_of(one(image="a"), *(one(image=image) for image in images))
    assert len({row.id for row in rows}) == len(rows)


def test_explicit_ids():
    records = (one(id=1), one(id=2, caption=["x", "y"]), one(id=1), one(image="c.png", id=None))
    rows = rows_of(*records, id="id")
    assert [row.id for row in rows if not isinstance(row, Reject)] == ["1", "2", "2#2", "c.png"]
    assert [(row.origin.row, row.reason) for row in rows if isinstance(row, Reject)] == [
        (3, Reason.DUPLICATE_ID)
    ]


def test_a_guessed_id_that_repeats_is_dropped():
    rows = rows_of(one(id=1), one(id=2), one(id=1))
    assert [row.id for row in rows] == ["a.png", "a.png#2", "a.png#3"]
    assert [row.metadata["id_column"] for row in rows] == [1, 2, 1]


@pytest.mark.parametrize("part", ["id", "group", "hard_caption"])
def test_a_part_may_be_played_by_no_column(part):
    (row,) = rows_of(one(id="7", group="g", hard_caption="h"), **{part: "none"})
    played = {
        "id": row.id == "7",
        "group": row.group == "g",
        "hard_caption": bool(row.hard_captions),
    }
    assert [name for name, is_played in played.items() if not is_played] == [part]
    (row,) = rows_of(one(none="really"), **{part: "none"})
    assert "none" not in row.metadata


def test_a_row_that_is_rejected_takes_no_id():
    rows = rows_of(one(id=1, caption=""), one(id=1), id="id")
    assert rows[0].reason == Reason.EMPTY_CAPTION
    assert rows[1].id == "1"


def test_group_is_text():
    rows = rows_of(one(family=7), one(family=" "), group="family")
    assert [row.group for row in rows] == ["7", None]
    assert [dict(row.metadata) for row in rows] == [{}, {}]


@pytest.mark.parametrize(
    ("value", "is_typed", "expected"),
    [
        ("a| b |x||a", False, ("a", "b")),
        (["a|b", " ", None, "x"], True, ("a|b",)),
        ("a|b", True, ("a|b",)),
        (None, True, ()),
        (["...", "a"], True, ("a",)),
    ],
)
def test_hard_captions(value, is_typed, expected):
    (row,) = rows_of(one(hard_caption=value), is_typed=is_typed)
    assert row.hard_captions == expected


# Rejects


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (one(caption=None), Reason.MISSING_CAPTION),
        ({"image": "a.png"}, Reason.MISSING_CAPTION),
        (one(caption=[]), Reason.MISSING_CAPTION),
        (one(caption=5), Reason.CAPTION_NOT_TEXT),
        (one(caption={"en": "x"}), Reason.CAPTION_NOT_TEXT),
        (one(caption=" \u00a0\t"), Reason.EMPTY_CAPTION),
        (one(caption="\U0001f426\u2764\ufe0f"), Reason.WORDLESS_CAPTION),
        (one(caption="?! ..."), Reason.WORDLESS_CAPTION),
        (one(caption="\udcff"), Reason.NOT_UTF8),
        (one(caption="a\0b"), Reason.NUL_BYTE),
        (one(image=None), Reason.MISSING_IMAGE),
        (one(image=" "), Reason.MISSING_IMAGE),
        (one(image=5), Reason.MISSING_IMAGE),
        (one(image={"a": 1}), Reason.MISSING_IMAGE),
        (one(image="a\udcff.png"), Reason.NOT_UTF8),
        (one(image="a\0.png"), Reason.NUL_BYTE),
        (one(id="\udcff"), Reason.NOT_UTF8),
        (one(group="\0x"), Reason.NUL_BYTE),
        (one(other="\udcff"), Reason.NOT_UTF8),
        (one(hard_caption=["\udcff"]), Reason.NOT_UTF8),
    ],
)
def test_rejects(record, reason):
    good = one(image="good.png")
    rejected, row = rows_of(record, good)
    assert rejected.reason == reason
    assert rejected.origin.row == 1
    assert row.id == "good.png"


def test_every_caption_of_a_bad_record_is_a_row():
    rows = rows_of(one(image=None, caption=["x", "y"]), one(caption=["x", None, ""]))
    assert [row.reason if isinstance(row, Reject) else row.caption for row in rows] == [
        Reason.MISSING_IMAGE,
        Reason.MISSING_IMAGE,
        "x",
        Reason.MISSING_CAPTION,
        Reason.EMPTY_CAPTION,
    ]

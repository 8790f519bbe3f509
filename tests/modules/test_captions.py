import unicodedata

import hypothesis
import hypothesis.strategies as st
import pytest
import tensorflow as tf

from core.words import count_words
from modules.preprocessing import captions

split_all = tf.function(captions.words, [tf.TensorSpec([None], tf.string)])


def split(text: str | bytes) -> list[str]:
    (found,) = split_all(tf.constant([text])).to_list()
    return [word.decode() for word in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A red, four-legged Bird!", ["a", "red", "four", "legged", "bird"]),
        ("Pokémon’s ÉCLAIR", ["pokémon", "s", "éclair"]),
        ("빨간 새가 있다", ["빨간", "새가", "있다"]),
        ("红色的鸟 bird", ["红", "色", "的", "鸟", "bird"]),
        ("three 🐦🐦 birds", ["three", "birds"]),
        ("size 42", ["size", "42"]),
        ("  \t\n ", []),
        ("", []),
        ("!?…", []),
        (b"red \xff bird", ["red", "bird"]),
        ("\u2764\ufe0f", []),
        # What is not seen ends no word: soft hyphen, Persian and Sinhala joiners, direction.
        ("ein Drei\u00adeck", ["ein", "dreieck"]),
        ("می\u200cبینم", ["میبینم"]),
        ("ශ\u0dca\u200dරී", ["ශ්රී"]),
        ("\u200fأحمر\u200e\ufeff", ["أحمر"]),
        ("e\u2060\u0301tude", ["étude"]),
        ("no\u200bspace", ["no", "space"]),
        ("it\u00b4s \u00a8fine", ["it", "s", "fine"]),
        # Thai, Lao, Khmer, Burmese: clusters.
        ("นกสีแดงน้ำเกาะ", ["น", "ก", "สี", "แด", "ง", "น้ํา", "เกาะ"]),
        ("ນົກສີແດງ", ["ນົ", "ກ", "ສີ", "ແດ", "ງ"]),
        ("សត្វស្លាប", ["ស", "ត្វ", "ស្លា", "ប"]),
        ("မြန်မာငှက်", ["မြန်", "မာ", "ငှက်"]),
    ],
)
def test_words(text, expected):
    assert split(text) == expected


def table(tmp_path, *words: str):
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return captions.vocabulary_table(str(path))


def test_ids_are_looked_up_padded_and_cut(tmp_path):
    lookup = table(tmp_path, "red", "bird").lookup
    ids = captions.token_ids(tf.constant(["Red bird", "", "a red red red bird"]), lookup, 4)
    assert ids.dtype == tf.int64
    assert ids.numpy().tolist() == [
        [2, 3, captions.PADDING_ID, captions.PADDING_ID],
        [captions.PADDING_ID] * 4,
        [captions.OOV_ID, 2, 2, 2],
    ]


def test_no_captions_at_all(tmp_path):
    lookup = table(tmp_path, "red").lookup
    assert captions.token_ids(tf.constant([], tf.string), lookup, 4).shape == (0, 4)


@hypothesis.given(st.lists(st.text(), min_size=1, max_size=4))
@hypothesis.settings(max_examples=50)
def test_a_caption_has_the_same_words_in_any_company(texts):
    together = captions.words(tf.constant(texts)).to_list()
    alone = [captions.words(tf.constant([text])).to_list()[0] for text in texts]
    assert together == alone


@hypothesis.given(st.binary(max_size=40))
@hypothesis.settings(max_examples=50)
def test_any_bytes_can_be_split(data):
    for word in captions.words(tf.constant([data])).to_list()[0]:
        assert word.decode("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "빨간 새가 있다",
        "một con rồng đỏ",
        "ça brûle",
        "красный йод",
        "ελληνικά ήχος",
        "ガラスのペン",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_letters_may_be_composed_in_any_way(text, form):
    assert split(unicodedata.normalize(form, text)) == split(text)


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("１２３ ＲＥＤ", "123 red"),
        ("ﬁre ﬂower", "fire flower"),
        ("ｶﾞﾗｽ", "ガラス"),
        ("ﻣﺮﺣﺒﺎ", "مرحبا"),
        ("㏎ ①", "km 1"),
    ],
)
def test_letters_may_be_typed_in_any_way(typed, plain):
    assert split(typed) == split(plain)


@hypothesis.given(
    st.text(st.characters(codec="ascii", min_codepoint=1) | st.sampled_from("éèüßñçøåæÉÜÑ"))
)
@hypothesis.settings(max_examples=100)
def test_plain_captions_are_split_as_ever(text):
    """By letters and digits, in lower case."""
    found = "".join(c if c.isalnum() else " " for c in text).lower().split()
    assert split(text) == found


def test_words_are_counted_as_the_model_splits_them():
    every = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    # Of the large blocks, whose characters are all of a kind, some are enough.
    small = [c for c in every if unicodedata.category(c) not in ("Lo", "Co") or c < "\u3100"]
    texts = [f"a{c}b {c}\u0e01{c}\u1780{c}\u1000{c}\u4e00" for c in [*small, *every[::50]]]
    lengths = split_all(tf.constant(texts)).row_lengths().numpy()
    wrong = [text for text, count in zip(texts, lengths, strict=True) if count_words(text) != count]
    assert wrong == []


@hypothesis.given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cn",), min_codepoint=1))
)
@hypothesis.settings(max_examples=200)
def test_words_of_any_text_are_counted_as_the_model_splits_them(text):
    assert count_words(text) == len(split(text))

import hypothesis
import hypothesis.strategies as st
import pytest
import tensorflow as tf

from modules.preprocessing import captions


def split(text: str | bytes) -> list[str]:
    (found,) = captions.words(tf.constant([text])).to_list()
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
@hypothesis.settings(deadline=None, max_examples=50)
def test_a_caption_has_the_same_words_in_any_company(texts):
    together = captions.words(tf.constant(texts)).to_list()
    alone = [captions.words(tf.constant([text])).to_list()[0] for text in texts]
    assert together == alone


@hypothesis.given(st.binary(max_size=40))
@hypothesis.settings(deadline=None, max_examples=50)
def test_any_bytes_can_be_split(data):
    for word in captions.words(tf.constant([data])).to_list()[0]:
        assert word.decode("utf-8")

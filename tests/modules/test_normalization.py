"""TensorFlow's own ops must normalise as Python does."""

import random
import unicodedata

import pytest
import tensorflow as tf

from modules.preprocessing import normalization

ALL = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
DECOMPOSED = [c for c in ALL if unicodedata.normalize("NFKD", c) != c]
MARKS = [c for c in ALL if unicodedata.combining(c)]
JAMO = [chr(code) for code in range(0x1100, 0x1200)]


@pytest.fixture(scope="module")
def nfkc():
    """Texts to normalised texts, by one traced function."""
    graph = tf.function(normalization.nfkc, [tf.TensorSpec([None], tf.string)])

    def run(texts):
        encoded = tf.constant([text.encode() for text in texts], tf.string)
        return [text.decode() for text in graph(encoded).numpy()]

    return run


def assert_as_python(nfkc, texts):
    wrong = [
        (text, found)
        for text, found in zip(texts, nfkc(texts), strict=True)
        if found != unicodedata.normalize("NFKC", text)
    ]
    assert wrong == []


def test_every_character(nfkc):
    assert_as_python(nfkc, ALL)


def test_every_character_decomposed(nfkc):
    for form in ("NFD", "NFKD"):
        assert_as_python(nfkc, [unicodedata.normalize(form, c) for c in DECOMPOSED])


def test_every_mark_before_and_after_another(nfkc):
    assert_as_python(nfkc, [f"a{mark}\u0301x\u0327{mark}" for mark in MARKS])


def test_random_texts_of_what_composes(nfkc):
    draw = random.Random(7)
    followers = [chr(key & 0x1FFFFF) for key in normalization._compositions()[0].tolist()]
    letters = [chr(key >> 21) for key in normalization._compositions()[0].tolist()]
    kinds = (DECOMPOSED, MARKS, JAMO, followers, letters, ALL, "abc")
    texts = [
        "".join(draw.choice(draw.choice(kinds)) for _ in range(draw.randrange(14)))
        for _ in range(50_000)
    ]
    assert_as_python(nfkc, texts)


@pytest.mark.parametrize("texts", [[], [""], ["plain", ""], ["", "e\u0301", "", "x"]])
def test_few_texts(nfkc, texts):
    assert_as_python(nfkc, texts)


def test_keeps_accents_beyond_any_sense(nfkc):
    text = "e" + "\u0301" * 5000
    (found,) = nfkc([text])
    assert unicodedata.normalize("NFKD", found) == unicodedata.normalize("NFKD", text)

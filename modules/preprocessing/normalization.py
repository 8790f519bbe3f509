"""Unicode normalisation (NFKC) out of core TensorFlow's ops, as it is saved in the served model.

One word has many spellings. macOS writes Korean and every accent decomposed (NFD), Japanese
keyboards write half-width kana and full-width digits, PDF files hold ligatures and Arabic
presentation forms. NFKC is the form in which all of these are the plain letters that the rest of
the data set is written in; NFC would bring together the decomposed ones only. TensorFlow has no op
for it outside of tensorflow_text, which model servers need not have.

The tables are Python's `unicodedata`, fixed when a graph is traced. The algorithm is the one of
Unicode Standard Annex 15, on all characters of all captions at once:

    decompose ──> put accents in canonical order ──> compose, one accent a round

Captions of ASCII alone pass by all that.
"""

import functools
import unicodedata
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

MAX_RUN = 32
"""So many characters may be composed to one. Unicode's own stream-safe format allows 31; only what
is made to be odd has more, and its further accents stay as they are."""

_ASCII = r"[\x00-\x7F]*"

_PLANES = (range(0x20000), range(0x2F800, 0x2FA20))
"""Beyond them there are signs that stand for themselves, and no others; a test holds that."""
_SURROGATES = range(0xD800, 0xE000)
_SYLLABLES = range(0xAC00, 0xD7A4)
"""Korean syllables are composed by arithmetic: first consonant, vowel, last consonant."""
_FIRST, _VOWELS, _LAST = 0x1100, 0x1161, 0x11A7
_FIRST_COUNT, _VOWEL_COUNT, _LAST_COUNT = 19, 21, 28

_REMOVED = -1
_NOTHING = -1
_LETTER = 0
"""Combining class of what is no accent."""
_PAIR_SHIFT = 21
"""Bits of a code point: two of them make one int64 key."""


# Traced once a process, however often a graph calls it. Nothing is for AutoGraph.
@tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
def nfkc(texts: tf.Tensor) -> tf.Tensor:
    """Normalises texts as `unicodedata.normalize("NFKC", text)` does.

    Args:
      texts: string [N], valid UTF-8.

    Returns:
      string [N].
    """
    rows = tf.where(~tf.strings.regex_full_match(texts, _ASCII))

    def changed() -> tf.Tensor:
        return tf.tensor_scatter_nd_update(texts, rows, _normalised(tf.gather_nd(texts, rows)))

    return tf.cond(tf.size(rows) > 0, changed, lambda: texts)


def _normalised(texts: tf.Tensor) -> tf.Tensor:
    """string [M] to string [M], whether there is anything to do or not."""
    codes = tf.strings.unicode_decode(texts, "UTF-8")
    characters, row_splits = _decomposed(codes.flat_values, codes.row_splits)
    begins_row = _marks_starts(row_splits)
    characters, classes = _ordered(characters, begins_row)
    composed, kept_in_run, run_starts = _composed(characters, classes, begins_row)
    # Every text begins with a run of its own.
    kept_before_run = tf.concat([[0], tf.cumsum(kept_in_run)], axis=0)
    runs_before_text = _lower_bound(run_starts, row_splits)
    return tf.strings.unicode_encode(
        _ragged(composed, tf.gather(kept_before_run, runs_before_text)), "UTF-8"
    )


def _decomposed(characters: tf.Tensor, row_splits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Characters, int32 [C], and where the texts begin and end, to those that they stand for."""
    known, texts = _decompositions()
    table = np.array([code for text in texts for code in text], np.int32)
    table_ends = np.cumsum([len(text) for text in texts], dtype=np.int32)
    table_starts = np.append(0, table_ends[:-1]).astype(np.int32)
    # What has no decomposition stands for itself, behind the table.
    itself = len(table) + tf.range(tf.size(characters))
    starts = _look_up(known, table_starts, characters, itself)
    ends = _look_up(known, table_ends, characters, itself + 1)
    numbers = tf.ragged.range(starts, ends, row_splits_dtype=tf.int64)
    pool = tf.concat([table, characters], axis=0)
    return tf.gather(pool, numbers.flat_values), tf.gather(numbers.row_splits, row_splits)


def _ordered(characters: tf.Tensor, begins_row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sorts the accents of each letter by their combining class, which is returned too."""
    classes = _look_up(*_combining_classes(), characters, 0)
    letter = tf.cumsum(tf.cast((classes == _LETTER) | begins_row, tf.int64))
    order = tf.argsort(letter * 256 + tf.cast(classes, tf.int64), stable=True)
    return tf.gather(characters, order), tf.gather(classes, order)


def _composed(
    characters: tf.Tensor, classes: tf.Tensor, begins_row: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Composes every run: a letter with what may be composed with it.

    Returns:
      The characters that are left, their number in each run, and where each run began: int64 but
      for the characters.
    """
    followers = np.array(sorted({key & (1 << _PAIR_SHIFT) - 1 for key in _compositions()[0]}))
    jamo = np.arange(_VOWELS, _LAST + _LAST_COUNT, dtype=np.int32)
    followers = np.union1d(followers, jamo).astype(np.int32)
    follows = _look_up(followers, np.ones_like(followers), characters, 0) > 0
    begins = begins_row | ((classes == _LETTER) & ~follows)
    every = tf.range(tf.size(characters, tf.int64))
    begin = tf.gather(_where(begins), tf.cumsum(tf.cast(begins, tf.int64)) - 1)
    run_starts = _where(begins | ((every - begin) % MAX_RUN == 0))
    run_splits = tf.concat([run_starts, [tf.size(characters, tf.int64)]], axis=0)
    # [place in the run, run]
    places = tf.transpose(_ragged(characters, run_splits).to_tensor(_REMOVED))
    place_classes = tf.transpose(_ragged(classes, run_splits).to_tensor(0))
    count = tf.shape(places)[0]

    def compose_one(
        place: tf.Tensor, letters: tf.Tensor, between: tf.Tensor, left: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        accents, accent_classes = places[place], place_classes[place]
        together = _composites(letters, accents)
        # A letter, or an accent of the same or a later class, in between keeps the two apart.
        is_free = (between != _LETTER) & (between < accent_classes)
        is_composed = is_free & (accents != _REMOVED) & (together != _REMOVED)
        stays = is_composed | (accents == _REMOVED) | (between == _LETTER)
        return (
            place + 1,
            tf.where(is_composed, together, letters),
            tf.where(stays, between, accent_classes),
            left.write(place, tf.where(is_composed, _REMOVED, accents)),
        )

    letters = tf.gather(characters, run_starts)
    state = (
        tf.constant(1),
        letters,
        tf.fill(tf.shape(letters), _NOTHING),
        tf.TensorArray(tf.int32, size=tf.maximum(count, 1), element_shape=[None]),
    )
    _, letters, _, left = tf.while_loop(lambda place, *_: place < count, compose_one, state)
    table = tf.transpose(tf.ensure_shape(left.write(0, letters).stack(), [None, None]))
    is_left = table != _REMOVED
    left_in_run = tf.reduce_sum(tf.cast(is_left, tf.int64), axis=1)
    return tf.gather_nd(table, tf.where(is_left)), left_in_run, run_starts


def _composites(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """What two characters make together, `_REMOVED` if nothing: int32 [R] each."""
    keys, values = _compositions()
    pairs = tf.bitwise.left_shift(tf.cast(first, tf.int64), np.int64(_PAIR_SHIFT))
    made = _look_up(keys, values, pairs + tf.cast(second, tf.int64), _REMOVED)
    consonant, vowel = first - _FIRST, second - _VOWELS
    is_syllable = _is_in(consonant, 0, _FIRST_COUNT) & _is_in(vowel, 0, _VOWEL_COUNT)
    syllable = _SYLLABLES.start + (consonant * _VOWEL_COUNT + vowel) * _LAST_COUNT
    made = tf.where(is_syllable, syllable, made)
    opened, last = first - _SYLLABLES.start, second - _LAST
    takes_last = _is_in(opened, 0, len(_SYLLABLES)) & (opened % _LAST_COUNT == 0)
    return tf.where(takes_last & _is_in(last, 1, _LAST_COUNT), first + last, made)


def _ragged(values: tf.Tensor, row_splits: tf.Tensor) -> tf.RaggedTensor:
    """Without the checks of what is right by construction: most of the graph would be they."""
    return tf.RaggedTensor.from_row_splits(values, row_splits, validate=False)


def _marks_starts(row_splits: tf.Tensor) -> tf.Tensor:
    """bool [C]: whether a text begins at this character."""
    starts = row_splits[:-1, tf.newaxis]
    # Empty texts at the end begin behind the last character.
    count = tf.scatter_nd(starts, tf.ones_like(row_splits[:-1]), row_splits[-1:] + 1)
    return count[:-1] > 0


def _where(mask: tf.Tensor) -> tf.Tensor:
    """bool [C] to the places where it is true, int64."""
    return tf.squeeze(tf.where(mask), axis=1)


def _is_in(values: tf.Tensor, low: int, high: int) -> tf.Tensor:
    return (values >= low) & (values < high)


def _look_up(
    keys: np.ndarray, values: np.ndarray, wanted: tf.Tensor, default: tf.Tensor | int
) -> tf.Tensor:
    """The value of each wanted key; the keys are sorted."""
    index = tf.minimum(_lower_bound(tf.constant(keys), wanted), len(keys) - 1)
    return tf.where(tf.gather(keys, index) == wanted, tf.gather(values, index), default)


def _lower_bound(ascending: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """As `tf.searchsorted` for vectors, which takes fifteen ops to bring them into form."""
    found = tf.raw_ops.LowerBound(sorted_inputs=ascending[tf.newaxis], values=wanted[tf.newaxis])
    return tf.squeeze(found, axis=0)


def _all_characters() -> Iterator[str]:
    """Those of the planes with characters that normalisation may change."""
    return (chr(code) for plane in _PLANES for code in plane if code not in _SURROGATES)


@functools.cache
def _decompositions() -> tuple[np.ndarray, list[list[int]]]:
    """Characters that stand for others, sorted, and those others. Korean syllables are left out:
    they are composed already."""
    found = {
        ord(character): [ord(other) for other in unicodedata.normalize("NFKD", character)]
        for character in _all_characters()
        if ord(character) not in _SYLLABLES
        and unicodedata.normalize("NFKD", character) != character
    }
    return np.array(list(found), np.int32), list(found.values())


@functools.cache
def _combining_classes() -> tuple[np.ndarray, np.ndarray]:
    """Characters that combine with the one before them, sorted, and their classes."""
    found = {
        ord(character): unicodedata.combining(character)
        for character in _all_characters()
        if unicodedata.combining(character)
    }
    return np.array(list(found), np.int32), np.array(list(found.values()), np.int32)


@functools.cache
def _compositions() -> tuple[np.ndarray, np.ndarray]:
    """Pairs of characters that make one, as sorted keys, and what they make."""
    found = {}
    for character in _all_characters():
        parts = unicodedata.decomposition(character).split()
        # Some are never composed again; they are not stable.
        is_stable = unicodedata.normalize("NFC", character) == character
        if len(parts) == 2 and not parts[0].startswith("<") and is_stable:
            first, second = (int(part, 16) for part in parts)
            found[first << _PAIR_SHIFT | second] = ord(character)
    keys = sorted(found)
    return np.array(keys, np.int64), np.array([found[key] for key in keys], np.int32)

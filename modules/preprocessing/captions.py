"""From caption text to token ids, the same way in Transform and in the served model."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from core.words import INVISIBLE, unspaced
from modules.preprocessing.normalization import nfkc

PADDING_ID = 0
OOV_ID = 1
FIRST_WORD_ID = 2
"""Ids 0 and 1 are taken, so word n of the vocabulary has id n + 2."""

VOCABULARY = "caption_words"
"""Name of the vocabulary among Transform's assets."""

_MARK = r"\p{M}"
_UNSPACED = f"({unspaced(_MARK)})"
# A mark on nothing is no word, such as the one that makes a heart an emoji.
_NOT_A_WORD = r"[^\p{L}\p{M}\p{N}]+\p{M}*|^\p{M}+"


Normalize = Callable[[tf.Tensor], tf.Tensor]
"""A function of the user's own: captions, string [N], to captions; see `user_normalization`."""


def words(captions: tf.Tensor, normalize: Normalize | None = None) -> tf.RaggedTensor:
    """Splits captions into lower-case words; punctuation separates, invalid UTF-8 is replaced.

    Letters are normalised (NFKC), so that it does not matter how they were typed, without what is
    not seen, such as soft hyphens. `core.words` says what a word is in scripts without spaces.

    Args:
      captions: string [N].
      normalize: what captions go through in between, already in lower case and in NFKC. What it
        returns is brought into that form again, so that it need not care.

    Returns:
      string [N, (words)].
    """
    text = _plain(captions)
    if normalize:
        text = _plain(tf.ensure_shape(normalize(text), [None]))
    text = tf.strings.regex_replace(text, _UNSPACED, r" \1 ")
    text = tf.strings.regex_replace(text, _NOT_A_WORD, " ")
    return tf.strings.split(text)


def _plain(captions: tf.Tensor) -> tf.Tensor:
    """Valid UTF-8, in NFKC, in lower case, all of it seen: string [N] to string [N]."""
    text = tf.strings.unicode_transcode(captions, "UTF-8", "UTF-8", errors="replace")
    text = tf.strings.regex_replace(text, INVISIBLE, "")
    return tf.strings.lower(nfkc(text), encoding="utf-8")


def token_ids(
    captions: tf.Tensor,
    lookup: Callable[[tf.Tensor], tf.Tensor],
    max_tokens: int,
    normalize: Normalize | None = None,
) -> tf.Tensor:
    """Tokenises, looks up and pads.

    Args:
      captions: string [N].
      lookup: maps words, string [M], to their line in the vocabulary, int64 [M], -1 if absent.
      max_tokens: captions are cut or padded with `PADDING_ID` to this length.
      normalize: see `words`.

    Returns:
      int64 [N, max_tokens].
    """
    return word_ids(words(captions, normalize), lookup, max_tokens)


def word_ids(
    split: tf.RaggedTensor, lookup: Callable[[tf.Tensor], tf.Tensor], max_tokens: int
) -> tf.Tensor:
    """As `token_ids`, of what `words` returned: string [N, (words)]."""
    lines = lookup(split.flat_values)
    ids = tf.where(lines < 0, tf.constant(OOV_ID, tf.int64), lines + FIRST_WORD_ID)
    return split.with_flat_values(ids).to_tensor(PADDING_ID, shape=[None, max_tokens])


def vocabulary_file(saved_model: Path) -> Path:
    """Where the words that a pushed model knows stand, a word a line."""
    return saved_model / "assets" / VOCABULARY


def vocabulary_table(vocabulary_file: tf.Tensor | str) -> tf.lookup.StaticHashTable:
    """A table from word to its line number (int64) in a vocabulary file, -1 for other words."""
    return tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            vocabulary_file,
            key_dtype=tf.string,
            key_index=tf.lookup.TextFileIndex.WHOLE_LINE,
            value_dtype=tf.int64,
            value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        default_value=-1,
    )

"""Lengths of captions, sizes of pictures, and how many words the model knows, split by split."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from core import features
from data import pair_examples
from modules.preprocessing import captions, user_normalization
from pages import sources
from pages.sources import Sources

_BATCH = 512
_TOP = 12

_SPEC = {
    features.CAPTION: tf.io.FixedLenFeature([], tf.string, ""),
    features.LABEL: tf.io.FixedLenFeature([], tf.int64, 1),
    features.IMAGE_HEIGHT: tf.io.FixedLenFeature([], tf.int64, 0),
    features.IMAGE_WIDTH: tf.io.FixedLenFeature([], tf.int64, 0),
}


@dataclass(frozen=True)
class SplitWords:
    """The true pairs of a split in figures: lengths, words, sizes of pictures.

    Attributes:
      captions: number of captions.
      lengths: words to the number of captions with so many.
      sides: pixels of the longer side to the number of pictures.
      words: number of words, repetitions included.
      unknown: how many of them are not in the vocabulary.
      with_unknown: number of captions with a word that is not.
      covered: words of the vocabulary that occur.
      vocabulary: size of the vocabulary.
      most_unknown: the most frequent unknown words, with their counts.
    """

    captions: int
    lengths: Mapping[int, int]
    sides: Mapping[int, int]
    words: int
    unknown: int
    with_unknown: int
    covered: int
    vocabulary: int
    most_unknown: tuple[tuple[str, int], ...]

    @property
    def oov_rate(self) -> float:
        """Share of the words that the model does not know."""
        return self.unknown / self.words if self.words else 0.0

    @property
    def coverage(self) -> float:
        """Share of the vocabulary that occurs."""
        return self.covered / self.vocabulary if self.vocabulary else 0.0


def gather_words(of: Sources) -> dict[str, SplitWords]:
    """Reads the captions of every split."""
    path = captions.vocabulary_file(of.saved_model)
    normalize = user_normalization.saved_with(of.saved_model)
    vocabulary = set(path.read_bytes().split(b"\n")) - {b""} if path.is_file() else set()
    return {
        split: count_words(folder, vocabulary, normalize)
        for split, folder in of.split_uris(sources.EXAMPLES).items()
    }


def count_words(
    folder: str, vocabulary: set[bytes], normalize: captions.Normalize | None = None
) -> SplitWords:
    """Counts the words of a split's true captions, and the sizes of their pictures.

    Args:
      folder: with gzipped TFRecords.
      vocabulary: the words that the model knows.
      normalize: what captions go through before they reach it.
    """
    lengths: Counter[int] = Counter()
    sides: Counter[int] = Counter()
    all_words: Counter[bytes] = Counter()
    with_unknown = 0
    files = pair_examples.split_files(folder)
    for batch in pair_examples.record_dataset(files).batch(_BATCH):
        parsed = tf.io.parse_example(batch, _SPEC)
        is_true = parsed[features.LABEL].numpy() > 0
        longer = np.maximum(
            parsed[features.IMAGE_HEIGHT].numpy(), parsed[features.IMAGE_WIDTH].numpy()
        )
        sides.update(longer[is_true].tolist())
        for row in captions.words(parsed[features.CAPTION][is_true], normalize).to_list():
            lengths[len(row)] += 1
            all_words.update(row)
            with_unknown += any(word not in vocabulary for word in row)
    unknown = Counter({word: n for word, n in all_words.items() if word not in vocabulary})
    return SplitWords(
        captions=lengths.total(),
        lengths=dict(sorted(lengths.items())),
        sides=dict(sorted(sides.items())),
        words=all_words.total(),
        unknown=unknown.total(),
        with_unknown=with_unknown,
        covered=sum(word in vocabulary for word in all_words),
        vocabulary=len(vocabulary),
        most_unknown=tuple(
            (word.decode("utf-8", "replace"), n)
            for word, n in sorted(unknown.items(), key=lambda each: (-each[1], each[0]))[:_TOP]
        ),
    )

"""The figures of requests that are watched, gathered without keeping pictures and captions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import tensorflow as tf

from core import buckets
from core.picture_sizes import UnknownSize, picture_size
from modules.export import signatures
from modules.preprocessing import captions, user_normalization

KNOWN, UNKNOWN = "known", "unknown"

_BATCH = 1024


class Vocabulary:
    """The words that a model knows.

    Args:
      saved_model: the model's folder; the words are an asset of it, a word a line.
    """

    def __init__(self, saved_model: Path):
        self._table = captions.vocabulary_table(str(captions.vocabulary_file(saved_model)))
        self._normalize = user_normalization.saved_with(saved_model)

    def count(self, texts: Sequence[bytes]) -> tuple[int, int, int]:
        """(known words, unknown words, captions without any word)."""
        split = captions.words(tf.constant(list(texts), tf.string), self._normalize)
        lines = self._table.lookup(split.flat_values).numpy()
        unknown = int((lines < 0).sum())
        wordless = int((split.row_lengths().numpy() == 0).sum())
        return len(lines) - unknown, unknown, wordless


class Traffic:
    """Counts of what requests hold.

    Attributes:
      requests: number of them.
      lengths: bucket of length in characters to number of captions.
      words: `KNOWN` and `UNKNOWN` to number of words.
      sizes: (height, width) to number of pictures.
      scores: probability to number of pairs; those of pairs that cannot be judged left out.
      wordless: captions without a word.
      unreadable: pictures whose format is not known or whose header is broken.
      unjudged: pairs that were answered by `signatures.NOT_JUDGED`.
    """

    def __init__(self, vocabulary: Vocabulary):
        self._vocabulary = vocabulary
        self._waiting: list[bytes] = []
        self.requests = 0
        self.lengths: Counter[str] = Counter()
        self.words: Counter[str] = Counter()
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.scores: Counter[float] = Counter()
        self.wordless = self.unreadable = self.unjudged = 0

    def add(
        self, images: Iterable[bytes], texts: Iterable[bytes], scores: Iterable[float] = ()
    ) -> None:
        """Counts a request.

        Args:
          images: encoded pictures.
          texts: captions, UTF-8; not necessarily as many.
          scores: the probabilities that it was answered by.
        """
        self.requests += 1
        for content in images:
            try:
                size = picture_size(content)
            except UnknownSize:
                size = None
            if size is None:
                self.unreadable += 1
            else:
                self.sizes[size.height, size.width] += 1
        for text in texts:
            self.lengths[buckets.caption_length(text).decode()] += 1
            self._waiting.append(text)
        for score in scores:
            if score == signatures.NOT_JUDGED:
                self.unjudged += 1
            else:
                self.scores[score] += 1
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Counts the words of the captions that are waiting for it; call it at the end."""
        if not self._waiting:
            return
        known, unknown, wordless = self._vocabulary.count(self._waiting)
        self.words[KNOWN] += known
        self.words[UNKNOWN] += unknown
        self.wordless += wordless
        self._waiting.clear()

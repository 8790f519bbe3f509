"""Wrong captions for pairs that a model did not learn from, chosen among these pairs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from core import features
from core.negatives import can_be_negative

# A caption of another group is soon found but where one group is nearly all there is.
_MOST_DRAWS = 100


class WrongPairs(NamedTuple):
    """Images by their numbers, and the captions that are set against them.

    Attributes:
      images: int64 [M].
      tokens: int64 [M, L].
    """

    images: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """What decides which captions of a fold may be negatives of which of its N images.

    Attributes:
      tokens: the true captions, int64 [N, L].
      hard: candidates for hard negatives, N times int64 [n, L].
      groups: int64 [N].
    """

    tokens: np.ndarray
    hard: list[np.ndarray]
    groups: np.ndarray

    @classmethod
    def read(cls, pairs: tf.data.Dataset) -> "HeldOut":
        """Reads true pairs, as `modules.training.inputs.pair_rows` returns them."""
        names = (features.TOKENS, features.HARD_TOKENS, features.GROUP_HASH)
        needed = pairs.map(lambda row: {name: row[name] for name in names if name in row})
        found = list(needed.as_numpy_iterator())
        tokens = np.stack([row[features.TOKENS] for row in found])
        none = np.zeros(0, np.int64)
        return cls(
            tokens=tokens,
            hard=[
                row.get(features.HARD_TOKENS, none).reshape(-1, tokens.shape[1]) for row in found
            ],
            groups=np.array([row[features.GROUP_HASH] for row in found]),
        )

    def are_negatives(self, images: np.ndarray, captions: np.ndarray) -> np.ndarray:
        """bool, of images and captions by their numbers, int64 of shapes that broadcast."""
        return can_be_negative(
            self.groups[images] == self.groups[captions],
            (self.tokens[images] == self.tokens[captions]).all(axis=-1),
        )

    def draw_wrong(self, count: int, hard: int, seed: int) -> WrongPairs:
        """Hard negatives, then random ones, which are captions of the fold.

        Args:
          count: how many in all, as far as there are any.
          hard: how many of them are hard ones, if there are as many.
          seed: of the random ones.
        """
        images, tokens = self._hard_negatives(min(hard, count))
        more, captions = self._random_negatives(count - len(images), np.random.default_rng(seed))
        return WrongPairs(
            np.concatenate([images, more]), np.concatenate([tokens, self.tokens[captions]])
        )

    def _hard_negatives(self, count: int) -> WrongPairs:
        """At most `count` of the candidates: captions of the fold first, then one of each image."""
        own = {line.tobytes() for line in self.tokens}
        candidates = sorted(
            (line.tobytes() not in own, rank, image)
            for image, lines in enumerate(self.hard)
            for rank, line in enumerate(lines)
        )[:count]
        images = np.array([image for _, _, image in candidates], np.int64)
        tokens = [self.hard[image][rank] for _, rank, image in candidates]
        return WrongPairs(images, np.array(tokens, np.int64).reshape(-1, self.tokens.shape[1]))

    def _random_negatives(
        self, count: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of images and of captions that are negatives; every image has its turn."""
        everything = len(self.tokens)
        images = np.resize(generator.permutation(everything), count)
        captions = generator.integers(everything, size=count)
        for _ in range(_MOST_DRAWS):
            doubtful = np.flatnonzero(~self.are_negatives(images, captions))
            if not len(doubtful):
                break
            captions[doubtful] = generator.integers(everything, size=len(doubtful))
        chosen = self.are_negatives(images, captions)
        return images[chosen], captions[chosen]


def with_wrong_pairs(pairs: tf.data.Dataset, wrong: WrongPairs, count: int) -> tf.data.Dataset:
    """True pairs, each followed by its image with wrong captions, as a validation split has them.

    Args:
      pairs: with pictures or with features, in the order in which they were numbered.
      wrong: see `HeldOut.draw_wrong`.
      count: of the true pairs.
    """
    order = np.argsort(wrong.images, kind="stable")
    lines = tf.RaggedTensor.from_value_rowids(wrong.tokens[order], wrong.images[order], count)

    def expand(row: dict[str, tf.Tensor], wrong_tokens: tf.Tensor) -> tf.data.Dataset:
        kept = {name: value for name, value in row.items() if name != features.HARD_TOKENS}
        tokens = tf.concat([row[features.TOKENS][tf.newaxis], wrong_tokens], axis=0)
        labels = tf.cast(tf.range(tf.shape(tokens)[0]) == 0, tf.int64)
        return tf.data.Dataset.from_tensor_slices((tokens, labels)).map(
            lambda line, label: {**kept, features.TOKENS: line, features.LABEL: label}
        )

    return tf.data.Dataset.zip(pairs, tf.data.Dataset.from_tensor_slices(lines)).flat_map(expand)

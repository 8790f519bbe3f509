"""Encodes images and captions in batches, and scores combinations of their embeddings.

One helper for every model: a SavedModel with its signatures, on encoded files and texts, and a
`PairModel` in training, on pixels and token ids.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from core import features
from modules.export import signatures
from modules.network.model import PairModel

ENCODED_AT_ONCE = 64
SCORED_AT_ONCE = 16_384
"""Combinations. The matcher needs some 10 KB for each, in two or three layers."""


@dataclass(frozen=True)
class Scorer:
    """A model's encoders and its matcher, each a function of a batch.

    Attributes:
      encode_image: a batch of images to embeddings, float32 [N, D].
      encode_caption: a batch of captions to embeddings, float32 [N, D].
      score_embeddings: image and caption embeddings, each float32 [N, D], to float32 [N].
    """

    encode_image: Callable[[tf.Tensor], tf.Tensor]
    encode_caption: Callable[[tf.Tensor], tf.Tensor]
    score_embeddings: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

    @classmethod
    def of_saved_model(cls, served: Mapping[str, Any]) -> "Scorer":
        """Images are encoded files, captions UTF-8, scores probabilities.

        Args:
          served: the SavedModel's signatures by name.
        """

        def score(images: tf.Tensor, captions: tf.Tensor) -> tf.Tensor:
            inputs = {features.IMAGE_EMBEDDING: images, features.CAPTION_EMBEDDING: captions}
            return served[signatures.SCORE_EMBEDDINGS](**inputs)[features.PROBABILITY]

        return cls(
            lambda images: served[signatures.ENCODE_IMAGE](image=images)[features.EMBEDDING],
            lambda texts: served[signatures.ENCODE_CAPTION](caption=texts)[features.EMBEDDING],
            score,
        )

    @classmethod
    def of_model(cls, model: PairModel) -> "Scorer":
        """Images are pixels uint8 [N, S, S, 3], captions tokens int64 [N, L], scores logits."""
        return cls(
            tf.function(
                lambda pixels: model.image_encoder(tf.cast(pixels, tf.float32), training=False)
            ),
            tf.function(lambda tokens: model.caption_encoder(tokens, training=False)),
            tf.function(lambda images, captions: model.matcher([images, captions], training=False)),
        )

    def images(self, contents: Iterable[Any]) -> np.ndarray:
        """Embeddings of images, float32 [N, D]; only a batch of contents is in memory.

        Without any, D is 0.
        """
        return _encode(self.encode_image, contents)

    def captions(self, contents: Iterable[Any]) -> np.ndarray:
        """Embeddings of captions, float32 [N, D]; see `images`."""
        return _encode(self.encode_caption, contents)

    def pairs(self, images: np.ndarray, captions: np.ndarray) -> np.ndarray:
        """Scores of pairs, float32 [N].

        Args:
          images: embeddings, float32 [N, D].
          captions: embeddings, float32 [N, D].
        """
        scores = np.empty(len(images), np.float32)
        for start in range(0, len(images), SCORED_AT_ONCE):
            chunk = slice(start, start + SCORED_AT_ONCE)
            found = self.score_embeddings(tf.constant(images[chunk]), tf.constant(captions[chunk]))
            scores[chunk] = np.ravel(found)
        return scores


def _encode(encoder: Callable[[tf.Tensor], tf.Tensor], contents: Iterable[Any]) -> np.ndarray:
    remaining = iter(contents)
    encoded = []
    while batch := list(itertools.islice(remaining, ENCODED_AT_ONCE)):
        encoded.append(encoder(tf.constant(batch)).numpy())
    return np.concatenate(encoded) if encoded else np.zeros((0, 0), np.float32)

"""Encodes and scores pictures and captions in batches, with a SavedModel's own signatures."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from core import features

ENCODED_AT_ONCE = 64
SCORED_AT_ONCE = 16_384
"""Combinations. The matcher needs some 10 KB for each, in two or three layers."""


def encode(signature: Any, key: str, contents: Iterable[bytes]) -> np.ndarray:
    """Pictures or captions to embeddings, float32 [N, D]; only a batch of contents is in memory.

    Args:
      signature: `signatures.ENCODE_IMAGE` or `ENCODE_CAPTION` of a SavedModel.
      key: its input, `features.IMAGE` or `CAPTION`.
      contents: N encoded pictures, or captions in UTF-8; without any, D is 0.
    """
    remaining = iter(contents)
    encoded = []
    while batch := list(itertools.islice(remaining, ENCODED_AT_ONCE)):
        encoded.append(signature(**{key: tf.constant(batch)})[features.EMBEDDING].numpy())
    return np.concatenate(encoded) if encoded else np.zeros((0, 0), np.float32)


def score(signature: Any, images: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """Probabilities of pairs, float32 [N].

    Args:
      signature: `signatures.SCORE_EMBEDDINGS` of a SavedModel.
      images: embeddings, float32 [N, D].
      captions: embeddings, float32 [N, D].
    """
    scores = np.empty(len(images), np.float32)
    for start in range(0, len(images), SCORED_AT_ONCE):
        chunk = slice(start, start + SCORED_AT_ONCE)
        inputs = {
            features.IMAGE_EMBEDDING: tf.constant(images[chunk]),
            features.CAPTION_EMBEDDING: tf.constant(captions[chunk]),
        }
        scores[chunk] = np.ravel(signature(**inputs)[features.PROBABILITY])
    return scores

"""The model: dexmatch's image branch and matcher, and a caption branch of our own."""

from collections.abc import Sequence

import keras

from core.backbones import BACKBONES
from core.config import ModelConfig
from modules.network import model
from modules.network.model import PairModel


def build(
    settings: ModelConfig,
    image_size: int,
    max_tokens: int,
    vocabulary_size: int,
    attribute_sizes: Sequence[int] = (),
) -> PairModel:
    """Builds the model.

    Args:
      settings: the section `model` of the configuration.
      image_size: height and width of the pictures, S.
      max_tokens: length of the padded captions, L.
      vocabulary_size: number of token ids; 0 is padding, 1 an unknown word.
      attribute_sizes: how many values each attribute has.
    """
    return PairModel(
        model.build_image_encoder(settings, image_size),
        build_caption_encoder(settings, max_tokens, vocabulary_size),
        model.build_matcher(settings, attribute_sizes),
        BACKBONES[settings.backbone],
        name="dexmatch",
    )


def build_caption_encoder(settings: ModelConfig, length: int, vocabulary_size: int) -> keras.Model:
    """int64 [N, length] to float32 [N, embedding_dim].

    It differs from dexmatch's in two things: a GRU, and the mean over the words, not the maximum.
    """
    tokens = keras.Input((length,), dtype="int64", name="tokens")
    # By this name the vectors find their words when a training goes on from the last blessed model.
    vectors = keras.layers.Embedding(
        vocabulary_size, settings.word_dim, mask_zero=True, name=model.WORD_VECTORS
    )(tokens)
    vectors = keras.layers.SpatialDropout1D(settings.dropout)(vectors)
    layer = keras.layers.GRU(settings.recurrent_units, return_sequences=True)
    words = keras.layers.Bidirectional(layer)(vectors)
    summary = keras.layers.GlobalAveragePooling1D()(words)
    embedding = keras.layers.Dense(settings.embedding_dim, name="caption_embedding")(summary)
    return keras.Model(tokens, embedding, name="caption_encoder")

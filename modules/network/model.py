"""The model: does this caption describe this image?

    pixels, 0..255 [N, S, S, 3]                tokens int64 [N, L]
        │                  │                           │
     backbone        histogram of colours      word embedding, masked
        │                  │                           │
    mean activations of    │                   LSTM (or GRU), both ways
    its feature levels     │                           │
        └────────┬─────────┘                   maximum over the words
                 │ image features [N, F]               │
      batch norm (or
      power norm), dense                       dense, embedding_dim
                 │ image embedding [N, D]              │ caption embedding [N, D]
                 └──────────────────┬──────────────────┘
               cosine similarity, and for each attribute how likely it
               is that both tell of the same value (see `Agreement`)
                                    │
                          calibration: logit [N]

The two branches meet only in the matcher, so search and tagging encode each item once and score
many combinations cheaply, and one training step can set every caption of the batch against every
image.
"""

from collections.abc import Sequence
from typing import Any

import keras

from core.backbones import BACKBONES, Backbone
from core.config import ModelConfig
from modules.network import backbones
from modules.network.fused_batch_norm import with_fused_batch_norm
from modules.network.layers import (
    Agreement,
    Calibration,
    ColorHistogram,
    MaskedMaxPooling1D,
    PowerNormalization,
    WithoutCommonPadding,
)

WORD_VECTORS = "word_vectors"
"""Name of the caption encoder's embedding layer."""
ATTRIBUTES = "attributes"
"""Name of the matcher's layer `Agreement`, if it has one."""
AGREEMENT_WEIGHTS = "agreement_weights"
"""Name of the matcher's layer that weighs the attributes."""
SCALED_COSINE = "scaled_cosine"
"""Name of the matcher's layer that weighs the cosine similarity, if it joins by that."""
CALIBRATION = "calibration"
"""Name of the matcher's last layer, `Calibration`."""

_COSINE_SCALE = 5.0
_AGREEMENT_SCALE = 0.5

IMAGE_FEATURES = "image_features"
IMAGE_HEAD = "image_head"
"""Names of the two models that an image encoder is made of."""


class PairModel(keras.Model):
    """Image encoder, caption encoder and matcher; callable on rows of pairs.

    Attributes:
      image_encoder: float32 [N, S, S, 3] in 0..255 to float32 [N, D].
      caption_encoder: int64 [N, L] to float32 [N, D].
      matcher: (float32 [N, D], float32 [N, D]) to logits float32 [N].
      backbone: what is known of the network that reads the pictures.

    The image encoder is two models in a row, `image_features` and `image_head`: while the first is
    frozen, its answers can be computed once and be reused.
    """

    def __init__(
        self,
        image_encoder: keras.Model,
        caption_encoder: keras.Model,
        matcher: keras.Model,
        backbone: Backbone,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.image_encoder = image_encoder
        self.caption_encoder = caption_encoder
        self.matcher = matcher
        self.backbone = backbone

    @property
    def image_features(self) -> keras.Model:
        """Backbone and pooling: float32 [N, S, S, 3] in 0..255 to float32 [N, F]."""
        return self.image_encoder.get_layer(IMAGE_FEATURES)

    @property
    def image_head(self) -> keras.Model:
        """What comes after it: float32 [N, F] to float32 [N, D]."""
        return self.image_encoder.get_layer(IMAGE_HEAD)

    def call(self, inputs: tuple[Any, Any], training: bool = False) -> Any:
        """Scores pairs: (pixels [N, S, S, 3], tokens [N, L]) to logits float32 [N]."""
        pixels, tokens = inputs
        return self.matcher(
            [
                self.image_encoder(pixels, training=training),
                self.caption_encoder(tokens, training=training),
            ],
            training=training,
        )


def build(
    settings: ModelConfig,
    image_size: int,
    max_tokens: int,
    vocabulary_size: int,
    attribute_sizes: Sequence[int] = (),
) -> PairModel:
    """Builds the model; weights are random but for the backbone's, as `settings.weights` says.

    Args:
      settings: the `model` section.
      image_size: height and width of the pictures.
      max_tokens: length of the padded captions.
      vocabulary_size: number of token ids, padding and OOV included.
      attribute_sizes: how many values each attribute has; none for a model that knows of none.

    Raises:
      DexmatchError: the weights cannot be had or do not fit the backbone.
    """
    return PairModel(
        build_image_encoder(settings, image_size),
        build_caption_encoder(settings, max_tokens, vocabulary_size),
        build_matcher(settings, attribute_sizes),
        BACKBONES[settings.backbone],
        name="dexmatch",
    )


def build_image_encoder(settings: ModelConfig, size: int) -> keras.Model:
    """The image branch: float32 [N, size, size, 3] in 0..255 to float32 [N, D].

    It is two models in a row, as `PairModel` has it.

    Raises:
      DexmatchError: the weights cannot be had or do not fit the backbone.
    """
    features = _image_features(settings, size)
    head = _image_head(settings, features.output_shape[1:])
    pixels = keras.Input((size, size, 3), name="pixels")
    return keras.Model(pixels, head(features(pixels)), name="image_encoder")


def _image_features(settings: ModelConfig, size: int) -> keras.Model:
    pixels = keras.Input((size, size, 3), name="pixels")
    outputs = _backbone(settings, size)(pixels)
    levels = outputs if isinstance(outputs, list) else [outputs]
    parts = [keras.layers.GlobalAveragePooling2D()(maps) for maps in levels]
    if settings.color_bins:
        # Sums over all pixels.
        parts.append(ColorHistogram(settings.color_bins, dtype="float32")(pixels))
    if settings.feature_normalization == "power":
        parts = [PowerNormalization()(part) for part in parts]
    joined = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    if settings.feature_normalization == "power":
        # From parts of length 1 to features whose mean square is 1, as the dense layer expects.
        joined = keras.layers.Rescaling((joined.shape[-1] / len(parts)) ** 0.5)(joined)
    return keras.Model(pixels, joined, name=IMAGE_FEATURES)


def _backbone(settings: ModelConfig, size: int) -> keras.Model:
    """The backbone up to the last feature level that is asked for, with an output a level.

    Early levels know of colours and textures, and learn fast because gradients reach them at once;
    late ones know of things (Hariharan et al. 2015, "Hypercolumns").
    """
    backbone = backbones.load_backbone(settings.backbone, settings.weights, size)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = settings.batch_norm_momentum
        elif isinstance(layer, keras.layers.Dropout):
            layer.rate *= settings.stochastic_depth
    maps = backbones.feature_maps(backbone, settings.backbone)
    levels = [maps[level] for level in settings.feature_levels]
    fused = with_fused_batch_norm(keras.Model(backbone.input, levels, name=backbone.name))
    backbones.finalize_normalization(fused)
    return fused


def _image_head(settings: ModelConfig, shape: tuple[int, ...]) -> keras.Model:
    features = keras.Input(shape, name="features")
    values = features
    if settings.feature_normalization == "batch_norm":
        # Means of feature levels and shares of colours are of very different size.
        values = keras.layers.BatchNormalization(momentum=settings.batch_norm_momentum)(values)
    values = keras.layers.Dropout(settings.image_dropout)(values)
    embedding = keras.layers.Dense(settings.embedding_dim, name="image_embedding")(values)
    return keras.Model(features, embedding, name=IMAGE_HEAD)


def build_caption_encoder(settings: ModelConfig, length: int, vocabulary_size: int) -> keras.Model:
    """The caption branch: int64 [N, length] to float32 [N, D]."""
    tokens = keras.Input((length,), dtype="int64", name="tokens")
    embed = keras.layers.Embedding(
        vocabulary_size, settings.word_dim, mask_zero=True, name=WORD_VECTORS
    )
    vectors = embed(WithoutCommonPadding()(tokens))
    vectors = keras.layers.SpatialDropout1D(settings.dropout)(vectors)
    recurrent = getattr(keras.layers, settings.recurrent)
    if settings.caption_pooling == "last":
        summary = recurrent(settings.recurrent_units)(vectors)
    else:
        layer = recurrent(settings.recurrent_units, return_sequences=True)
        # A word tells by itself, wherever it stands (Conneau et al. 2017, "InferSent").
        summary = MaskedMaxPooling1D()(keras.layers.Bidirectional(layer)(vectors))
    embedding = keras.layers.Dense(settings.embedding_dim, name="caption_embedding")(summary)
    return keras.Model(tokens, embedding, name="caption_encoder")


def build_matcher(settings: ModelConfig, attribute_sizes: Sequence[int]) -> keras.Model:
    """Where the branches meet: float32 [N, D] and float32 [N, D] to logits float32 [N].

    Its last layer is the `Calibration`; one named `ATTRIBUTES` reads the attributes, if there are
    any.
    """
    image = keras.Input((settings.embedding_dim,), name="image_embedding")
    caption = keras.Input((settings.embedding_dim,), name="caption_embedding")
    # It stays float32 whatever `trainer.precision` says: it takes little time, and what ranks
    # captions are small differences of cosines.
    if settings.join == "concat":
        joined = keras.layers.Dropout(settings.dropout, dtype="float32")(
            keras.layers.Concatenate(dtype="float32")([image, caption])
        )
        hidden = keras.layers.Dense(settings.hidden_units, activation="relu", dtype="float32")(
            joined
        )
        logit = keras.layers.Dense(1, dtype="float32")(hidden)
    else:
        cosine = keras.layers.Dot(axes=1, normalize=True, dtype="float32")([image, caption])
        logit = _scaled(cosine, _COSINE_SCALE, use_bias=True, name=SCALED_COSINE)
    if attribute_sizes:
        agreement = Agreement(attribute_sizes, name=ATTRIBUTES, dtype="float32")([image, caption])
        weighed = _scaled(agreement, _AGREEMENT_SCALE, use_bias=False, name=AGREEMENT_WEIGHTS)
        logit = keras.layers.Add(dtype="float32")([logit, weighed])
    logit = keras.layers.Reshape((), dtype="float32")(logit)
    calibrated = Calibration(name=CALIBRATION, dtype="float32")(logit)
    return keras.Model([image, caption], calibrated, name="matcher")


def _scaled(values: Any, scale: float, use_bias: bool, name: str) -> Any:
    start = keras.initializers.Constant(scale)
    return keras.layers.Dense(
        1, use_bias=use_bias, kernel_initializer=start, dtype="float32", name=name
    )(values)

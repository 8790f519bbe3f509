"""The model: does this caption describe this image?

    pixels, 0..255 [N, S, S, 3]           tokens int64 [N, L]
            │                                     │
      EfficientNet                        word embedding, masked
            │                                     │
    global average pool                     LSTM (or GRU)
            │ image features [N, F]               │
     dense, embedding_dim                 dense, embedding_dim
            │ image embedding [N, D]              │ caption embedding [N, D]
            └───────────────┬─────────────────────┘
                    join (concat / interact)
                            │
                    dense, hidden_units, ReLU
                            │
                     dense, 1: logit [N]

The two branches meet only in the matcher, so search and tagging encode each item once and score
many combinations cheaply, and one training step can set every caption of the batch against every
image.
"""

from typing import Any

import keras

from modules import weights
from pipeline.config import ModelConfig

_COSINE_SCALE = 5.0

_FEATURES = "image_features"
_HEAD = "image_head"


@keras.saving.register_keras_serializable(package="dexmatch")
class PairModel(keras.Model):
    """Image encoder, caption encoder and matcher; callable on rows of pairs.

    Attributes:
      image_encoder: float32 [N, S, S, 3] in 0..255 to float32 [N, D].
      caption_encoder: int64 [N, L] to float32 [N, D].
      matcher: (float32 [N, D], float32 [N, D]) to logits float32 [N].

    The image encoder is two models in a row, `image_features` and `image_head`: while the first is
    frozen, its answers can be computed once and be reused.
    """

    def __init__(
        self,
        image_encoder: keras.Model,
        caption_encoder: keras.Model,
        matcher: keras.Model,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.image_encoder = image_encoder
        self.caption_encoder = caption_encoder
        self.matcher = matcher

    @property
    def image_features(self) -> keras.Model:
        """Backbone and pooling: float32 [N, S, S, 3] in 0..255 to float32 [N, F]."""
        return self.image_encoder.get_layer(_FEATURES)

    @property
    def image_head(self) -> keras.Model:
        """What comes after it: float32 [N, F] to float32 [N, D]."""
        return self.image_encoder.get_layer(_HEAD)

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
    settings: ModelConfig, image_size: int, max_tokens: int, vocabulary_size: int
) -> PairModel:
    """Builds the model; weights are random but for the backbone's, as `settings.weights` says.

    Args:
      settings: the `model` section.
      image_size: height and width of the pictures.
      max_tokens: length of the padded captions.
      vocabulary_size: number of token ids, padding and OOV included.

    Raises:
      DexmatchError: the weights cannot be had or do not fit the backbone.
    """
    return PairModel(
        _image_encoder(settings, image_size),
        _caption_encoder(settings, max_tokens, vocabulary_size),
        _matcher(settings),
        name="dexmatch",
    )


def _image_encoder(settings: ModelConfig, size: int) -> keras.Model:
    features = _image_features(settings, size)
    head = _image_head(settings, features.output_shape[1:])
    pixels = keras.Input((size, size, 3), name="pixels")
    return keras.Model(pixels, head(features(pixels)), name="image_encoder")


def _image_features(settings: ModelConfig, size: int) -> keras.Model:
    pixels = keras.Input((size, size, 3), name="pixels")
    pooled = keras.layers.GlobalAveragePooling2D()(_backbone(settings, size)(pixels))
    return keras.Model(pixels, pooled, name=_FEATURES)


def _image_head(settings: ModelConfig, shape: tuple[int, ...]) -> keras.Model:
    features = keras.Input(shape, name="features")
    embedding = keras.layers.Dense(settings.embedding_dim, name="image_embedding")(features)
    return keras.Model(features, embedding, name=_HEAD)


def _caption_encoder(settings: ModelConfig, length: int, vocabulary_size: int) -> keras.Model:
    tokens = keras.Input((length,), dtype="int64", name="tokens")
    vectors = keras.layers.Embedding(vocabulary_size, settings.word_dim, mask_zero=True)(tokens)
    recurrent = getattr(keras.layers, settings.recurrent)(settings.recurrent_units)
    embedding = keras.layers.Dense(settings.embedding_dim, name="caption_embedding")(
        recurrent(vectors)
    )
    return keras.Model(tokens, embedding, name="caption_encoder")


def _matcher(settings: ModelConfig) -> keras.Model:
    image = keras.Input((settings.embedding_dim,), name="image_embedding")
    caption = keras.Input((settings.embedding_dim,), name="caption_embedding")
    parts = [image, caption]
    if settings.join == "interact":
        # Product and distance tell a matching layer directly what concatenation leaves it to find
        # out (Mou et al. 2016, "Natural Language Inference by Tree-Based Convolution").
        parts += [keras.layers.Multiply()([image, caption]), AbsoluteDifference()([image, caption])]
    joined = keras.layers.Dropout(settings.dropout)(keras.layers.Concatenate()(parts))
    hidden = keras.layers.Dense(settings.hidden_units, activation="relu")(joined)
    # Logits stay float32 whatever the compute type, so that the loss and the served answer do.
    logit = keras.layers.Dense(1, dtype="float32")(hidden)
    if settings.join == "interact":
        # Closeness of the two embeddings, as CLIP has it, gets learning off the ground; the layers
        # above learn what closeness misses.
        cosine = keras.layers.Dot(axes=1, normalize=True)([image, caption])
        scale = keras.initializers.Constant(_COSINE_SCALE)
        scaled = keras.layers.Dense(1, kernel_initializer=scale, dtype="float32")(cosine)
        logit = keras.layers.Add()([logit, scaled])
    return keras.Model([image, caption], keras.layers.Reshape(())(logit), name="matcher")


@keras.saving.register_keras_serializable(package="dexmatch")
class AbsoluteDifference(keras.layers.Layer):
    """|a - b| of two tensors of the same shape."""

    def call(self, inputs: list[Any]) -> Any:
        """[a, b] to |a - b|."""
        return keras.ops.abs(inputs[0] - inputs[1])


def _backbone(settings: ModelConfig, size: int) -> keras.Model:
    backbone = weights.load_backbone(settings.backbone, settings.weights, size)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = settings.batch_norm_momentum
    return backbone

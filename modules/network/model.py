"""The model: does this caption describe this image?

    pixels, 0..255 [N, S, S, 3]                tokens int64 [N, L]
        │                  │                           │
    EfficientNet     histogram of colours      word embedding, masked
        │                  │                           │
    mean activations of    │                   LSTM (or GRU), both ways
    some of its stages     │                           │
        └────────┬─────────┘                   greatest value over the words
                 │ image features [N, F]               │
       batch norm, dense                       dense, embedding_dim
                 │ image embedding [N, D]              │ caption embedding [N, D]
                 └──────────────────┬──────────────────┘
               closeness (cosine), and for each attribute how likely
               it is that both tell of the same value (see `Agreement`)
                                    │
                          calibration: logit [N]

The two branches meet only in the matcher, so search and tagging encode each item once and score
many combinations cheaply, and one training step can set every caption of the batch against every
image.
"""

from collections.abc import Sequence
from typing import Any

import keras

from core.config import ModelConfig
from core.errors import DexmatchError
from modules.network import weights

WORD_VECTORS = "word_vectors"
"""Name of the caption encoder's embedding layer."""
ATTRIBUTES = "attributes"
"""Name of the matcher's layer `Agreement`, if it has one."""
CLASSIFIER = "classifier"
"""Name of that layer's dense layer."""
AGREEMENT_WEIGHTS = "agreement_weights"
"""Name of the matcher's layer that weighs the attributes."""
CALIBRATION = "calibration"
"""Name of the matcher's last layer, `Calibration`."""

_COSINE_SCALE = 5.0
_AGREEMENT_SCALE = 0.5

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
      DexmatchError: the weights cannot be had or do not fit the backbone, or it lacks a stage.
    """
    return PairModel(
        _image_encoder(settings, image_size),
        _caption_encoder(settings, max_tokens, vocabulary_size),
        _matcher(settings, attribute_sizes),
        name="dexmatch",
    )


def _image_encoder(settings: ModelConfig, size: int) -> keras.Model:
    features = _image_features(settings, size)
    head = _image_head(settings, features.output_shape[1:])
    pixels = keras.Input((size, size, 3), name="pixels")
    return keras.Model(pixels, head(features(pixels)), name="image_encoder")


def _image_features(settings: ModelConfig, size: int) -> keras.Model:
    pixels = keras.Input((size, size, 3), name="pixels")
    outputs = _stages(settings, size)(pixels)
    stages = outputs if isinstance(outputs, list) else [outputs]
    parts = [keras.layers.GlobalAveragePooling2D()(maps) for maps in stages]
    if settings.color_bins:
        parts.append(ColorHistogram(settings.color_bins)(pixels))
    joined = keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    return keras.Model(pixels, joined, name=_FEATURES)


def _stages(settings: ModelConfig, size: int) -> keras.Model:
    """The backbone up to the last stage that is asked for, with an output a stage.

    Early stages know of colours and textures, and learn fast because gradients reach them at once;
    late ones know of things (Hariharan et al. 2015, "Hypercolumns").
    """
    backbone = weights.load_backbone(settings.backbone, settings.weights, size)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = settings.batch_norm_momentum
        elif isinstance(layer, keras.layers.Dropout):
            layer.rate *= settings.stochastic_depth
    return keras.Model(
        backbone.input,
        [_stage(backbone, stage) for stage in settings.feature_levels],
        name=backbone.name,
    )


def _stage(backbone: keras.Model, stage: int | str) -> Any:
    """The output of a stage: of the last layer of its last block."""
    if stage == "top":
        return backbone.output
    names = [layer.name for layer in backbone.layers if layer.name.startswith(f"block{stage}")]
    if not names:
        raise DexmatchError(
            f'model.feature_levels: {backbone.name} has no stage {stage}; "top" is its last'
        )
    return backbone.get_layer(names[-1]).output


def _image_head(settings: ModelConfig, shape: tuple[int, ...]) -> keras.Model:
    features = keras.Input(shape, name="features")
    values = features
    if settings.normalize_features:
        # Means of stages and shares of colours are of very different size.
        values = keras.layers.BatchNormalization(momentum=settings.batch_norm_momentum)(values)
    values = keras.layers.Dropout(settings.image_dropout)(values)
    embedding = keras.layers.Dense(settings.embedding_dim, name="image_embedding")(values)
    return keras.Model(features, embedding, name=_HEAD)


def _caption_encoder(settings: ModelConfig, length: int, vocabulary_size: int) -> keras.Model:
    tokens = keras.Input((length,), dtype="int64", name="tokens")
    embed = keras.layers.Embedding(
        vocabulary_size, settings.word_dim, mask_zero=True, name=WORD_VECTORS
    )
    vectors = embed(tokens)
    vectors = keras.layers.SpatialDropout1D(settings.dropout)(vectors)
    recurrent = getattr(keras.layers, settings.recurrent)
    if settings.caption_pooling == "last":
        summary = recurrent(settings.recurrent_units)(vectors)
    else:
        layer = recurrent(settings.recurrent_units, return_sequences=True)
        # A word tells by itself, wherever it stands (Conneau et al. 2017, "InferSent").
        summary = GreatestOverWords()(keras.layers.Bidirectional(layer)(vectors))
    embedding = keras.layers.Dense(settings.embedding_dim, name="caption_embedding")(summary)
    return keras.Model(tokens, embedding, name="caption_encoder")


def _matcher(settings: ModelConfig, attribute_sizes: Sequence[int]) -> keras.Model:
    image = keras.Input((settings.embedding_dim,), name="image_embedding")
    caption = keras.Input((settings.embedding_dim,), name="caption_embedding")
    # Logits stay float32 whatever the compute type, so that the loss and the served answer do.
    if settings.join == "concat":
        joined = keras.layers.Dropout(settings.dropout)(
            keras.layers.Concatenate()([image, caption])
        )
        hidden = keras.layers.Dense(settings.hidden_units, activation="relu")(joined)
        logit = keras.layers.Dense(1, dtype="float32")(hidden)
    else:
        cosine = keras.layers.Dot(axes=1, normalize=True)([image, caption])
        logit = _scaled(cosine, _COSINE_SCALE, use_bias=True, name="closeness")
    if attribute_sizes:
        agreement = Agreement(attribute_sizes, name=ATTRIBUTES)([image, caption])
        weighed = _scaled(agreement, _AGREEMENT_SCALE, use_bias=False, name=AGREEMENT_WEIGHTS)
        logit = keras.layers.Add()([logit, weighed])
    calibrated = Calibration(name=CALIBRATION, dtype="float32")(keras.layers.Reshape(())(logit))
    return keras.Model([image, caption], calibrated, name="matcher")


def _scaled(values: Any, scale: float, use_bias: bool, name: str) -> Any:
    start = keras.initializers.Constant(scale)
    return keras.layers.Dense(
        1, use_bias=use_bias, kernel_initializer=start, dtype="float32", name=name
    )(values)


@keras.saving.register_keras_serializable(package="dexmatch")
class ColorHistogram(keras.layers.Layer):
    """How much of a picture has which colour (Swain and Ballard 1991, "Color Indexing").

    Each pixel is shared out among the nearest of `bins` steps of red, green and blue. The root of
    the shares is taken, so that their dot product compares two histograms by Hellinger's measure.
    It tells colours with few pictures to learn from, where convolutions need many.

    Args:
      bins: steps of each channel.
    """

    def __init__(self, bins: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.bins = bins

    def call(self, pixels: Any) -> Any:
        """float32 [N, H, W, 3] in 0..255 to float32 [N, bins ** 3]."""
        ops = keras.ops
        count = ops.shape(pixels)[0]
        steps = ops.reshape(pixels, (count, -1, 3, 1)) * ((self.bins - 1) / 255.0)
        near = ops.maximum(0.0, 1.0 - ops.abs(steps - ops.arange(self.bins, dtype=steps.dtype)))
        red, green, blue = (near[:, :, channel] for channel in range(3))
        both = ops.reshape(red[..., :, None] * green[..., None, :], (count, -1, self.bins**2))
        sums = ops.matmul(ops.transpose(both, (0, 2, 1)), blue)
        shares = sums / ops.cast(ops.shape(near)[1], sums.dtype)
        # The root has no slope at 0.
        return ops.sqrt(ops.reshape(shares, (-1, self.bins**3)) + 1e-6)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "bins": self.bins}


@keras.saving.register_keras_serializable(package="dexmatch")
class GreatestOverWords(keras.layers.Layer):
    """The greatest value of each unit over the words of a caption; padding does not count."""

    _LEAST = -1e4

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, values: Any, mask: Any = None) -> Any:
        """float32 [N, L, U], mask bool [N, L], to float32 [N, U]; zeros where there is no word."""
        if mask is None:
            return keras.ops.max(values, axis=1)
        greatest = keras.ops.max(keras.ops.where(mask[..., None], values, self._LEAST), axis=1)
        return keras.ops.where(greatest > self._LEAST, greatest, 0.0)

    def compute_mask(self, values: Any, mask: Any = None) -> None:
        """There are no words any more."""
        return


@keras.saving.register_keras_serializable(package="dexmatch")
class Agreement(keras.layers.Layer):
    """How likely it is that picture and caption tell of the same value, attribute by attribute.

    One classifier reads the values of all attributes (metadata columns, such as colour) from an
    embedding, be it a picture's or a caption's. Two embeddings agree on an attribute as far as
    their classes coincide: log(n * sum_v p(v | picture) p(v | caption)), 0 if either says nothing
    about it. The classes come from the training data's metadata; to be served it needs none.

    Args:
      sizes: number of values of each attribute.
    """

    # Keeps the logarithm of no agreement at all within reason.
    _LEAST = 0.01

    def __init__(self, sizes: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.sizes = tuple(sizes)
        self.classifier = keras.layers.Dense(sum(self.sizes), name=CLASSIFIER)

    def build(self, input_shape: Any) -> None:
        """Takes the shapes of two embeddings."""
        self.classifier.build(input_shape[0])
        self.built = True

    def logits(self, embedding: Any) -> list[Any]:
        """float32 [N, D] to float32 [N, n] for each attribute."""
        ends = [sum(self.sizes[: index + 1]) for index in range(len(self.sizes) - 1)]
        return list(keras.ops.split(self.classifier(embedding), ends, axis=-1))

    def call(self, embeddings: list[Any]) -> Any:
        """[image, caption], each float32 [N, D], to float32 [N, number of attributes]."""
        image, caption = (
            [keras.ops.softmax(logits) for logits in self.logits(embedding)]
            for embedding in embeddings
        )
        same = [
            size * keras.ops.sum(mine * theirs, axis=-1)
            for size, mine, theirs in zip(self.sizes, image, caption, strict=True)
        ]
        return keras.ops.log(keras.ops.stack(same, axis=-1) + self._LEAST)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "sizes": self.sizes}


@keras.saving.register_keras_serializable(package="dexmatch")
class Calibration(keras.layers.Layer):
    """scale * logit + offset, which makes probabilities true ones; see
    `modules.training.calibration`.

    It is no part of the training, and does nothing until it is set.
    """

    def build(self, input_shape: Any) -> None:
        """Two numbers, whatever the shape."""
        self.scale = self.add_weight(name="scale", initializer="ones", trainable=False)
        self.offset = self.add_weight(name="offset", initializer="zeros", trainable=False)

    def call(self, logits: Any) -> Any:
        """float32 [N] to float32 [N]."""
        return self.scale * logits + self.offset

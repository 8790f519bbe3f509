"""What the pushed model offers: five signatures over the trained encoders and the matcher.

The object saved is a plain `tf.Module`: it holds the weights that answer requests and the
vocabulary, no optimizer, no augmentation, no training step. Pictures and captions go through the
same functions as in Transform.
"""

from dataclasses import dataclass

import tensorflow as tf

from core import features
from modules.export import folding
from modules.export.matcher_weights import matcher_weights
from modules.network.model import PairModel
from modules.preprocessing import captions, images

SERVING_DEFAULT = "serving_default"
SERVE_EXAMPLES = "serve_examples"
ENCODE_IMAGE = "encode_image"
ENCODE_CAPTION = "encode_caption"
SCORE_EMBEDDINGS = "score_embeddings"

CONTRACT = {
    SERVING_DEFAULT: ((features.IMAGE, features.CAPTION), features.PROBABILITY),
    SERVE_EXAMPLES: ((features.EXAMPLES,), features.PROBABILITY),
    ENCODE_IMAGE: ((features.IMAGE,), features.EMBEDDING),
    ENCODE_CAPTION: ((features.CAPTION,), features.EMBEDDING),
    SCORE_EMBEDDINGS: (
        (features.IMAGE_EMBEDDING, features.CAPTION_EMBEDDING),
        features.PROBABILITY,
    ),
}
"""Signature to its inputs and its output. Callers depend on these names."""

# A sigmoid in float32 may round to 0 or 1. The answers for pairs that were judged stay inside, so
# that the value 0 can mean one thing only.
_SMALLEST = 1e-7
NOT_JUDGED = 0.0
"""The probability of a pair whose picture cannot be decoded or whose caption holds no word. NaN
would not do: it is no JSON."""


@dataclass(frozen=True)
class _Hidden:
    """Keeps the Keras model out of what is saved; see `tf_variables`."""

    model: PairModel


def tf_variables(model: PairModel) -> list[tf.Variable]:
    """TensorFlow's variables behind a Keras model's weights, in their order.

    Where Keras' own wrappers are saved (Keras 3.15), every one is exported as a second variable;
    the values are restored into that one, while the signatures read the first. TensorFlow 2's
    loader makes it good, one that works with a session, as TensorFlow Serving's, does not.
    """
    return [weight.value for weight in model.weights]


class ServingModel(tf.Module):
    """The trained model with its preprocessing, ready for `tf.saved_model.save`.

    Args:
      model: the trained model; its weights are shared, not copied.
      vocabulary_file: Transform's vocabulary; it travels inside the SavedModel as an asset.
      image_size: height and width that the image encoder takes.
      max_tokens: length that the caption encoder takes.
      embedding_dim: width of both embeddings.
      normalize: what captions went through in Transform, see `captions.words`.
    """

    def __init__(
        self,
        model: PairModel,
        vocabulary_file: str,
        image_size: int,
        max_tokens: int,
        embedding_dim: int,
        normalize: captions.Normalize | None = None,
    ):
        super().__init__(name="dexmatch")
        self.weights = tf_variables(model)
        self._hidden = _Hidden(model)
        self._table = captions.vocabulary_table(vocabulary_file)
        self._vocabulary = tf.saved_model.Asset(vocabulary_file)
        self._image_size = image_size
        self._max_tokens = max_tokens
        self._embedding_dim = embedding_dim
        self._normalize = normalize
        self._embed_pixels = folding.frozen(model.image_encoder)
        if matcher_weights(model.matcher, _SMALLEST):
            # No signature: a server does not offer it, who loads the SavedModel can call it.
            self.matcher_weights = tf.function(
                lambda: matcher_weights(model.matcher, _SMALLEST), input_signature=[]
            )

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The signatures by name, for `tf.saved_model.save`."""
        functions = {
            SERVING_DEFAULT: (self.score, [None], tf.string),
            SERVE_EXAMPLES: (self.score_examples, [None], tf.string),
            ENCODE_IMAGE: (self.encode_image, [None], tf.string),
            ENCODE_CAPTION: (self.encode_caption, [None], tf.string),
            SCORE_EMBEDDINGS: (
                self.score_embeddings,
                [None, self._embedding_dim],
                tf.float32,
            ),
        }
        return {
            name: function.get_concrete_function(
                **{key: tf.TensorSpec(shape, dtype, key) for key in CONTRACT[name][0]}
            )
            for name, (function, shape, dtype) in functions.items()
        }

    @tf.function
    def score(self, image: tf.Tensor, caption: tf.Tensor) -> dict[str, tf.Tensor]:
        """string [N] and string [N] to {"probability": float32 [N]}.

        A picture that stands beside several captions, as in the judged splits and in tagging, is
        encoded once.
        """
        unique, index = tf.unique(image)
        embedding = self.encode_image(unique)[features.EMBEDDING]
        return self.score_embeddings(
            tf.gather(embedding, index), self.encode_caption(caption)[features.EMBEDDING]
        )

    @tf.function
    def score_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized raw tf.Examples, string [N], to {"probability": float32 [N]}."""
        spec = {
            name: tf.io.FixedLenFeature([], tf.string, default_value="")
            for name in (features.IMAGE, features.CAPTION)
        }
        parsed = tf.io.parse_example(examples, spec)
        return self.score(parsed[features.IMAGE], parsed[features.CAPTION])

    @tf.function
    def encode_image(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """string [N] to {"embedding": float32 [N, D]}; zeros if the picture cannot be decoded."""
        pixels, is_valid = self.pixels(image)
        # TensorFlow's CPU convolutions break on a batch of none.
        count = tf.shape(pixels)[0]
        pixels = tf.pad(
            pixels, [[0, tf.cast(tf.equal(count, 0), tf.int32)], [0, 0], [0, 0], [0, 0]]
        )
        embedding = self._embed_pixels(tf.cast(pixels, tf.float32))
        return {features.EMBEDDING: _keep(embedding[:count], is_valid)}

    @tf.function
    def encode_caption(self, caption: tf.Tensor) -> dict[str, tf.Tensor]:
        """string [N] to {"embedding": float32 [N, D]}; zeros if the caption holds no word."""
        tokens = self.tokens(caption)
        has_words = tf.reduce_any(tokens != captions.PADDING_ID, axis=1)
        embedding = self._hidden.model.caption_encoder(tokens, training=False)
        return {features.EMBEDDING: _keep(embedding, has_words)}

    @tf.function
    def score_embeddings(
        self, image_embedding: tf.Tensor, caption_embedding: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """float32 [N, D] and [N, D] to {"probability": float32 [N]}.

        An embedding of zeros stands for an input that could not be judged: `NOT_JUDGED`. So do
        numbers that no encoder gives: infinite ones, NaN, and those that the matcher makes NaN of.
        """
        logits = self._hidden.model.matcher([image_embedding, caption_embedding], training=False)
        probability = tf.clip_by_value(tf.sigmoid(logits), _SMALLEST, 1.0 - _SMALLEST)
        judged = (
            _is_embedding(image_embedding)
            & _is_embedding(caption_embedding)
            & ~tf.math.is_nan(probability)
        )
        return {features.PROBABILITY: tf.where(judged, probability, NOT_JUDGED)}

    def pixels(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """string [N] to what the image encoder sees; see `images.pixels_from_bytes`."""
        return images.pixels_from_bytes(image, self._image_size)

    def tokens(self, caption: tf.Tensor) -> tf.Tensor:
        """string [N] to what the caption encoder sees, int64 [N, L]."""
        return captions.token_ids(caption, self._table.lookup, self._max_tokens, self._normalize)


def _is_embedding(values: tf.Tensor) -> tf.Tensor:
    """float32 [N, D] to bool [N]: whether they are finite, and not all of them 0."""
    return tf.reduce_any(values != 0, 1) & tf.reduce_all(tf.math.is_finite(values), 1)


def _keep(embedding: tf.Tensor, keep: tf.Tensor) -> tf.Tensor:
    """Puts zeros where `keep`, bool [N], is False."""
    return tf.where(keep[:, tf.newaxis], embedding, tf.zeros_like(embedding))


def save(serving_model: ServingModel, path: str) -> None:
    """Writes the SavedModel with its signatures."""
    tf.saved_model.save(serving_model, path, signatures=serving_model.signatures())

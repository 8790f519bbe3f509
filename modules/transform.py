"""What Transform does to a pair: fit the picture, tokenise the captions."""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from core import features
from core.config import CaptionConfig, ImageConfig
from modules.preprocessing import attributes, captions, images, user_normalization

# Far more buckets than there are groups, so that two of them practically never meet.
_HASH_BUCKETS = 2**62

KEEP_ID = "keep_id"
"""Key of `custom_config`: whether the ids of pairs are kept, for who must name them."""


def preprocessing_fn(
    inputs: dict[str, Any], custom_config: dict[str, Any]
) -> dict[str, tf.Tensor | tf.SparseTensor]:
    """Turns raw pairs into what the Trainer reads; see `core.features` for both.

    Args:
      inputs: raw features by name, each [N, 1] dense or sparse.
      custom_config: `image` and `caption`, the sections of the configuration as dicts, and
        `attributes`, the metadata features that the model learns to read.

    Returns:
      Transformed features by name. `hard_tokens` is there if `hard_caption` is, `attributes` if
      there are any.
    """
    size = ImageConfig(**custom_config["image"]).size
    settings = CaptionConfig(**custom_config["caption"])
    normalize = user_normalization.function(settings.normalize)
    words = captions.words(_column(inputs[features.CAPTION]), normalize)
    # Transform analyses the training split only, so no word of val or test gets in.
    vocabulary = tft.vocabulary(
        words,
        top_k=settings.vocabulary_size,
        frequency_threshold=settings.min_count,
        vocab_filename=captions.VOCABULARY,
    )

    def tokens(split: tf.RaggedTensor) -> tf.Tensor:
        return captions.word_ids(
            split, lambda texts: _look_up(texts, vocabulary), settings.max_tokens
        )

    pixels, is_valid = images.pixels_from_bytes(_column(inputs[features.IMAGE]), size)
    outputs = {
        features.PIXELS: tf.io.encode_png(pixels),
        features.IS_VALID: tf.cast(is_valid, tf.int64),
        features.TOKENS: tokens(words),
        features.GROUP_HASH: tf.strings.to_hash_bucket_fast(
            _column(inputs[features.GROUP]), _HASH_BUCKETS
        ),
        features.LABEL: _column(inputs[features.LABEL]),
    }
    if custom_config.get(KEEP_ID):
        outputs[features.ID] = _column(inputs[features.ID])
    if names := custom_config["attributes"]:
        outputs[features.ATTRIBUTES] = tf.stack(
            [_value_id(inputs[name], index) for index, name in enumerate(names)], axis=1
        )
    if features.HARD_CAPTION in inputs:
        hard = _ragged(inputs[features.HARD_CAPTION])
        flat = tf.reshape(tokens(captions.words(hard.flat_values, normalize)), [-1])
        splits = hard.row_splits * settings.max_tokens
        outputs[features.HARD_TOKENS] = tf.RaggedTensor.from_row_splits(flat, splits).to_sparse()
    return outputs


def _value_id(values: tf.Tensor | tf.SparseTensor, index: int) -> tf.Tensor:
    """A metadata feature, [N, 1] of any type, to int64 [N]: its line in the vocabulary."""
    ragged = _ragged(values)
    texts = ragged.flat_values
    if texts.dtype != tf.string:
        texts = tf.strings.as_string(texts)
    vocabulary = tft.vocabulary(texts, vocab_filename=attributes.vocabulary_name(index))
    ids = ragged.with_flat_values(_look_up(texts, vocabulary))
    return ids.to_tensor(attributes.UNKNOWN, shape=[None, 1])[:, 0]


def _look_up(words: tf.Tensor, vocabulary: tf.Tensor) -> tf.Tensor:
    def table_look_up(texts: tf.Tensor, vocabulary_file: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        table = captions.vocabulary_table(vocabulary_file)
        return table.lookup(texts), table.size()

    return tft.apply_vocabulary(words, vocabulary, lookup_fn=table_look_up)


def _column(values: tf.Tensor | tf.SparseTensor) -> tf.Tensor:
    """[N, 1], dense or sparse, to dense [N]; a missing value becomes "" or 0."""
    if isinstance(values, tf.SparseTensor):
        default = "" if values.dtype == tf.string else 0
        values = tft.sparse_tensor_to_dense_with_shape(values, [None, 1], default)
    return tf.squeeze(values, axis=1)


def _ragged(values: tf.Tensor | tf.SparseTensor) -> tf.RaggedTensor:
    """[N, K], dense or sparse, to ragged [N, (K)]."""
    if isinstance(values, tf.SparseTensor):
        return tf.RaggedTensor.from_sparse(values)
    return tf.RaggedTensor.from_tensor(values)

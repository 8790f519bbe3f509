"""Losses that teach the branches, beside the binary cross-entropy of the pairs."""

import tensorflow as tf

from modules.preprocessing import captions

# Far below any logit, and still a number.
_NEVER = -1e9


def word_prediction_loss(tokens: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of foretelling the words of a caption from its image.

    Every known word of the caption is a target of one softmax over the vocabulary (Joulin et al.
    2016, "Learning Visual Features from Large Weakly Supervised Data"). It tells the image branch
    what to look for long before the matcher can.

    Args:
      tokens: int64 [B, L].
      logits: float32 [B, vocabulary].

    Returns:
      float32 [], the mean over all known words.
    """
    known = tf.cast(tokens >= captions.FIRST_WORD_ID, tf.float32)
    surprise = -tf.gather(tf.nn.log_softmax(logits), tokens, axis=1, batch_dims=1)
    return tf.math.divide_no_nan(tf.reduce_sum(known * surprise), tf.reduce_sum(known))


def contrastive_loss(
    image: tf.Tensor, true: tf.Tensor, hard: tf.Tensor, counts: tf.Tensor, logit_scale: tf.Tensor
) -> tf.Tensor:
    """InfoNCE: which caption of the batch is the image's, and which image the caption's.

    Van den Oord et al. 2018; both ways as in Radford et al. 2021, "CLIP".

    Args:
      image: float32 [B, D], embeddings.
      true: float32 [B, D], of the true captions.
      hard: float32 [B, H, D], of each image's hard negatives.
      counts: bool [B, B + H], which of them are set against which image; the true ones are.
      logit_scale: float32 [], inverse temperature.

    Returns:
      float32 [], the mean of both ways.
    """
    size = tf.shape(image)[0]
    image, true, hard = (tf.nn.l2_normalize(each, axis=-1) for each in (image, true, hard))
    cosine = tf.concat(
        [
            tf.matmul(image, true, transpose_b=True),
            tf.einsum("bd,bhd->bh", image, hard),
        ],
        axis=1,
    )
    logits = tf.where(counts, logit_scale * cosine, _NEVER)
    of_captions = tf.linalg.diag_part(tf.nn.log_softmax(logits, axis=1)[:, :size])
    of_images = tf.linalg.diag_part(tf.nn.log_softmax(logits[:, :size], axis=0))
    return -0.5 * tf.reduce_mean(of_captions + of_images)


def attribute_loss(ids: tf.Tensor, logits: list[tf.Tensor]) -> tf.Tensor:
    """Cross-entropy of reading the values of the attributes from embeddings.

    Args:
      ids: int64 [B, K], below 0 where a value is not known: it does not count.
      logits: K times float32 [B, n].

    Returns:
      float32 [], the mean over known values and the sum over attributes.
    """
    total = tf.constant(0.0)
    for index, scores in enumerate(logits):
        known = tf.cast(ids[:, index] >= 0, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.maximum(ids[:, index], 0), scores
        )
        total += tf.math.divide_no_nan(tf.reduce_sum(known * losses), tf.reduce_sum(known))
    return total

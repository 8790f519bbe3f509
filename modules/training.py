"""One training step, and the layers that it needs.

A step encodes B pictures and B + B * H captions once each, and then scores pictures against
captions: the picture's own caption is right; other captions of the batch and its H hard ones are
wrong. So wrong captions are new in every step, and cost only the small matcher, not the backbone.
"""

from typing import Any

import keras
import tensorflow as tf

from modules import captions, features
from modules.model import PairModel
from pipeline.config import AugmentConfig, TrainerConfig

_WHITE = 255.0


class PairTrainer(keras.Model):
    """Wraps a `PairModel` with the training step; validation scores pairs row by row.

    Args:
      model: what is trained.
      vocabulary_size: number of token ids, padding and OOV included.
      settings: the `trainer` section.
      augmentation: the `augment` section.
    """

    def __init__(
        self,
        model: PairModel,
        vocabulary_size: int,
        settings: TrainerConfig,
        augmentation: AugmentConfig,
    ):
        super().__init__(name="pair_trainer")
        self.model = model
        self._settings = settings
        self._augment = augmenter(augmentation, settings.seed)
        # Trained along and thrown away: it teaches the image branch, and answers no request.
        self._words = keras.layers.Dense(vocabulary_size, name="words")
        self._words.build((None, model.image_encoder.output_shape[-1]))
        self._loss = keras.metrics.Mean(name="loss")
        self._auc = keras.metrics.AUC(name="auc", from_logits=True)
        self._augment.build(model.image_encoder.input_shape)
        self.built = True

    def call(self, pairs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Logits, float32 [B], of pairs as in `modules.inputs.validation_pairs`."""
        image = self._encode_images(pairs, training)
        caption = self.model.caption_encoder(pairs[features.TOKENS], training=training)
        return self.model.matcher([image, caption], training=training)

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One update from a batch of `modules.inputs.training_pairs`."""
        settings = self._settings
        tokens, hard = batch[features.TOKENS], batch[features.HARD_TOKENS]
        size, length = tf.shape(tokens)[0], tokens.shape[1]
        own = other_captions(tokens, batch[features.GROUP_HASH], settings.wrong_captions)
        weights = pair_weights(own, hard, settings.hard_share)
        labels = tf.concat([tf.eye(size), tf.zeros([size, hard.shape[1]])], axis=1)
        with tf.GradientTape() as tape:
            image = self._encode_images(batch, training=True)
            captions = tf.concat([tokens, tf.reshape(hard, [-1, length])], axis=0)
            caption = self.model.caption_encoder(captions, training=True)
            logits = self._score(image, caption[:size], caption[size:])
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(weights * losses) / tf.reduce_sum(weights)
            total = loss + settings.word_loss * word_loss(tokens, self._words(image))
            # The optimizer adds up what the replicas found.
            total /= tf.distribute.get_strategy().num_replicas_in_sync
        gradients = tape.gradient(total, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self._loss.update_state(loss)
        self._auc.update_state(labels, logits, sample_weight=weights)
        return self.get_metrics_result()

    def test_step(self, batch: tuple) -> dict[str, tf.Tensor]:
        """Figures of a batch of `modules.inputs.validation_pairs`."""
        pairs, label = batch
        logits = self(pairs, training=False)
        self._loss.update_state(tf.nn.sigmoid_cross_entropy_with_logits(label, logits))
        self._auc.update_state(label, logits)
        return self.get_metrics_result()

    def _encode_images(self, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        """Embeddings of pictures, or of the features that stand for them in a frozen stage."""
        if features.IMAGE_FEATURES in batch:
            return self.model.image_head(batch[features.IMAGE_FEATURES], training=training)
        pixels = tf.cast(batch[features.PIXELS], tf.float32)
        if training:
            pixels = self._augment(pixels, training=True)
        return self.model.image_encoder(pixels, training=training)

    def _score(self, image: tf.Tensor, own: tf.Tensor, hard: tf.Tensor) -> tf.Tensor:
        """Logits of every picture with every caption of the batch and with its own hard ones.

        Args:
          image: float32 [B, D].
          own: float32 [B, D], the true captions.
          hard: float32 [B * H, D].

        Returns:
          float32 [B, B + H].
        """
        size, width = tf.shape(image)[0], image.shape[-1]
        own = tf.broadcast_to(own[tf.newaxis], [size, size, width])
        captions = tf.concat([own, tf.reshape(hard, [size, -1, width])], axis=1)
        images = tf.broadcast_to(image[:, tf.newaxis], tf.shape(captions))
        logits = self.model.matcher(
            [tf.reshape(images, [-1, width]), tf.reshape(captions, [-1, width])], training=True
        )
        return tf.reshape(logits, [size, -1])


def other_captions(tokens: tf.Tensor, groups: tf.Tensor, limit: int) -> tf.Tensor:
    """Which captions of a batch are set against which picture.

    A caption of the same group, or of the same words, may be true of the picture: it is left out.

    Args:
      tokens: int64 [B, L].
      groups: int64 [B].
      limit: wrong captions per picture; 0 for all.

    Returns:
      bool [B, B]; the diagonal, the true captions, is True.
    """
    same_group = groups[:, tf.newaxis] == groups
    same_words = tf.reduce_all(tokens[:, tf.newaxis] == tokens, axis=-1)
    wrong = ~(same_group | same_words)
    if limit:
        # The batch is in random order, so the next captions are random ones.
        distance = tf.range(tf.shape(groups)[0]) - tf.range(tf.shape(groups)[0])[:, tf.newaxis]
        distance = tf.where(wrong, distance % tf.shape(groups)[0], tf.int32.max)
        wrong &= distance <= tf.sort(distance, axis=-1)[:, limit - 1 : limit]
    return wrong | tf.eye(tf.shape(groups)[0], dtype=tf.bool)


def pair_weights(own: tf.Tensor, hard: tf.Tensor, hard_share: float) -> tf.Tensor:
    """Weights that give right and wrong captions the same say, and hard ones their share of it.

    Args:
      own: bool [B, B], see `other_captions`.
      hard: int64 [B, H, L] token ids; a caption of padding alone does not count.
      hard_share: of the wrong captions' weight.

    Returns:
      float32 [B, B + H]. The right captions weigh B; the wrong ones together as much, where there
      are any.
    """
    size = tf.cast(tf.shape(own)[0], tf.float32)
    right = tf.eye(tf.shape(own)[0])
    random = tf.cast(own, tf.float32) - right
    hard_there = tf.cast(tf.reduce_any(hard > 0, axis=-1), tf.float32)
    random_total, hard_total = tf.reduce_sum(random), tf.reduce_sum(hard_there)
    # Where one kind is missing, the other takes its share.
    share = tf.where(hard_total > 0, tf.where(random_total > 0, hard_share, 1.0), 0.0)
    random *= tf.math.divide_no_nan((1.0 - share) * size, random_total)
    hard_there *= tf.math.divide_no_nan(share * size, hard_total)
    return tf.concat([right + random, hard_there], axis=1)


def word_loss(tokens: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """How badly a picture foretells the words of its caption.

    Every known word of the caption is a target of one softmax over the vocabulary (Joulin et al.
    2016, "Learning Visual Features from Large Weakly Supervised Data"). It tells the image branch
    what to look for long before the matcher can.

    Args:
      tokens: int64 [B, L].
      logits: float32 [B, vocabulary].

    Returns:
      float32 [], mean cross-entropy over all known words.
    """
    known = tf.cast(tokens >= captions.FIRST_WORD_ID, tf.float32)
    surprise = -tf.gather(tf.nn.log_softmax(logits), tokens, axis=1, batch_dims=1)
    return tf.math.divide_no_nan(tf.reduce_sum(known * surprise), tf.reduce_sum(known))


def augmenter(settings: AugmentConfig, seed: int) -> keras.Model:
    """Flips, turns and zooms float32 pictures [N, S, S, 3]; what comes in at the rim is white.

    Colours are left alone, because captions speak of them.
    """
    layers: list[keras.layers.Layer] = []
    if settings.flip:
        layers.append(keras.layers.RandomFlip("horizontal", seed=seed))
    fill: dict[str, Any] = {"fill_mode": "constant", "fill_value": _WHITE}
    if settings.rotation:
        layers.append(keras.layers.RandomRotation(settings.rotation, seed=seed + 1, **fill))
    if settings.zoom:
        layers.append(keras.layers.RandomZoom(settings.zoom, seed=seed + 2, **fill))
    return keras.Sequential(layers or [keras.layers.Identity()], name="augmentation")


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a peak, then constant or down to zero along a half cosine.

    Args:
      peak: the highest learning rate.
      warmup_steps: until the peak.
      total_steps: until the cosine reaches zero; None keeps the peak.
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int | None):
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step, from 0."""
        step = keras.ops.cast(step, "float32")
        rate = self.peak
        if self.total_steps:
            left = max(self.total_steps - self.warmup_steps, 1)
            done = keras.ops.clip((step - self.warmup_steps) / left, 0.0, 1.0)
            rate = self.peak * 0.5 * (1.0 + keras.ops.cos(done * 3.14159265))
        rise = (step + 1.0) / max(self.warmup_steps, 1)
        return rate * keras.ops.minimum(rise, 1.0)

"""One training step, and the layers that it needs.

A step encodes B pictures and B + B * H captions once each, and then scores pictures against
captions: the picture's own caption is right; other captions of the batch and its H hard ones are
wrong. So negatives are new in every step, and cost only the small matcher, not the backbone.
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core import features
from core.config import AugmentConfig, TrainerConfig
from modules.network.model import ATTRIBUTES, PairModel
from modules.preprocessing import captions
from modules.training import distribution

_WHITE = 255.0
# InfoNCE's inverse temperature, to begin with and at most (Radford et al. 2021, "CLIP").
_FIRST_SCALE, _LAST_SCALE = 10.0, 100.0
_NEVER = -1e9


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
        # Trained along and thrown away: they teach the branches, and answer no request.
        if settings.word_loss_weight:
            self._words = keras.layers.Dense(vocabulary_size, name="words")
            self._words.build((None, model.image_encoder.output_shape[-1]))
        if settings.contrastive_loss_weight:
            self._log_scale = self.add_weight(
                name="log_scale", initializer=keras.initializers.Constant(math.log(_FIRST_SCALE))
            )
        self._random = keras.random.SeedGenerator(settings.seed)
        self._loss = keras.metrics.Mean(name="loss")
        self._auc = _auc_metric()
        self._augment.build(model.image_encoder.input_shape)
        self.built = True

    def call(self, pairs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Logits, float32 [B], of pairs as in `modules.training.inputs.validation_pairs`."""
        image = self._encode_images(pairs, training)
        caption = self.model.caption_encoder(pairs[features.TOKENS], training=training)
        return self.model.matcher([image, caption], training=training)

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One update from a batch of `modules.training.inputs.training_pairs`."""
        settings = self._settings
        tokens, hard = batch[features.TOKENS], batch[features.HARD_TOKENS]
        size, length = tf.shape(tokens)[0], tokens.shape[1]
        own = other_captions(tokens, batch[features.GROUP_HASH], settings.random_negatives)
        weights = pair_weights(own, hard, settings.hard_negative_share)
        labels = tf.concat([tf.eye(size), tf.zeros([size, hard.shape[1]])], axis=1)
        with tf.GradientTape() as tape:
            image = self._encode_images(batch, training=True)
            texts = self._with_unknown_words(
                tf.concat([tokens, tf.reshape(hard, [-1, length])], axis=0)
            )
            caption = self.model.caption_encoder(texts, training=True)
            right, wrong = caption[:size], caption[size:]
            logits = self._score(image, right, wrong)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(weights * losses) / tf.reduce_sum(weights)
            total = loss
            if settings.word_loss_weight:
                total += settings.word_loss_weight * word_loss(tokens, self._words(image))
            if settings.contrastive_loss_weight:
                scale = tf.minimum(tf.exp(self._log_scale), _LAST_SCALE)
                total += settings.contrastive_loss_weight * contrastive_loss(
                    image, right, wrong, weights > 0, scale
                )
            if settings.attribute_loss_weight and features.ATTRIBUTES in batch:
                read = self.model.matcher.get_layer(ATTRIBUTES).logits
                total += settings.attribute_loss_weight * sum(
                    attribute_loss(batch[features.ATTRIBUTES], read(embedding))
                    for embedding in (image, right)
                )
            # The optimizer adds up what the replicas found.
            total /= tf.distribute.get_strategy().num_replicas_in_sync
        variables = self.trainable_variables
        gradients = tape.gradient(total, variables, unconnected_gradients="zero")
        self.optimizer.apply(gradients, variables)
        self._loss.update_state(loss)
        self._auc.update_state(labels, logits, sample_weight=weights)
        return self._figures()

    def test_step(self, batch: tuple[dict[str, tf.Tensor], tf.Tensor]) -> dict[str, tf.Tensor]:
        """Figures of a batch of `modules.training.inputs.validation_pairs`."""
        pairs, label = batch
        logits = self(pairs, training=False)
        self._loss.update_state(tf.nn.sigmoid_cross_entropy_with_logits(label, logits))
        self._auc.update_state(label, logits)
        return self._figures()

    def _figures(self) -> dict[str, tf.Tensor]:
        """The running figures, each float32 []; [1] where several workers train."""
        figures: dict[str, tf.Tensor] = self.get_metrics_result()
        if distribution.spans_workers(tf.distribute.get_strategy()):
            # Keras 3.15 takes the mean over their first axis, which a scalar does not have.
            return {name: figure[tf.newaxis] for name, figure in figures.items()}
        return figures

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Keras' own draws a batch to build the rest, and breaks (3.15) where it has many workers.

        All but the optimizer is built by now.
        """
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)

    def _encode_images(self, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        """Embeddings of pictures, or of the features that stand for them in a frozen stage."""
        if features.IMAGE_FEATURES in batch:
            return self.model.image_head(batch[features.IMAGE_FEATURES], training=training)
        pixels = tf.cast(batch[features.PIXELS], tf.float32)
        if training:
            pixels = self._augment(pixels, training=True)
        return self.model.image_encoder(pixels, training=training)

    def _with_unknown_words(self, tokens: tf.Tensor) -> tf.Tensor:
        """int64 [N, L], the same with some words taken for unknown ones.

        So no caption is known by a single rare word (Iyyer et al. 2015, "word dropout").
        """
        if not self._settings.word_dropout:
            return tokens
        chance = keras.random.uniform(tf.shape(tokens), seed=self._random)
        dropped = (chance < self._settings.word_dropout) & (tokens != captions.PADDING_ID)
        return tf.where(dropped, tf.constant(captions.OOV_ID, tokens.dtype), tokens)

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


def _auc_metric() -> keras.metrics.AUC:
    return keras.metrics.AUC(name="auc", from_logits=True)


def auc(logits: np.ndarray, labels: np.ndarray) -> float:
    """The AUC as a training shows it.

    Args:
      logits: float32 [N].
      labels: float32 [N], 0 or 1.
    """
    metric = _auc_metric()
    metric.update_state(labels, logits)
    return float(metric.result())


def other_captions(tokens: tf.Tensor, groups: tf.Tensor, limit: int) -> tf.Tensor:
    """Which captions of a batch are set against which picture.

    A caption of the same group, or of the same words, may be true of the picture: it is left out.

    Args:
      tokens: int64 [B, L].
      groups: int64 [B].
      limit: negatives per picture; 0 for all.

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


def pair_weights(own: tf.Tensor, hard: tf.Tensor, hard_negative_share: float) -> tf.Tensor:
    """Weights that give right captions and negatives the same say, and hard ones their share of it.

    Args:
      own: bool [B, B], see `other_captions`.
      hard: int64 [B, H, L] token ids; a caption of padding alone does not count.
      hard_negative_share: the hard ones' share of the negatives' weight.

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
    share = tf.where(hard_total > 0, tf.where(random_total > 0, hard_negative_share, 1.0), 0.0)
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


def contrastive_loss(
    image: tf.Tensor, own: tf.Tensor, hard: tf.Tensor, counts: tf.Tensor, scale: tf.Tensor
) -> tf.Tensor:
    """InfoNCE: which caption of the batch is the picture's, and which picture the caption's.

    Van den Oord et al. 2018; both ways as in Radford et al. 2021, "CLIP".

    Args:
      image: float32 [B, D].
      own: float32 [B, D], the true captions.
      hard: float32 [B * H, D], each picture's hard captions.
      counts: bool [B, B + H], which of them are set against which picture; the true ones are.
      scale: float32 [], inverse temperature.

    Returns:
      float32 [], the mean of both ways.
    """
    size, width = tf.shape(image)[0], image.shape[-1]
    image, own, hard = (tf.nn.l2_normalize(each, axis=-1) for each in (image, own, hard))
    near = tf.concat(
        [
            tf.matmul(image, own, transpose_b=True),
            tf.einsum("bd,bhd->bh", image, tf.reshape(hard, [size, -1, width])),
        ],
        axis=1,
    )
    logits = tf.where(counts, scale * near, _NEVER)
    of_captions = tf.linalg.diag_part(tf.nn.log_softmax(logits, axis=1)[:, :size])
    of_pictures = tf.linalg.diag_part(tf.nn.log_softmax(logits[:, :size], axis=0))
    return -0.5 * tf.reduce_mean(of_captions + of_pictures)


def attribute_loss(ids: tf.Tensor, logits: list[tf.Tensor]) -> tf.Tensor:
    """How badly the values of the attributes are read from embeddings.

    Args:
      ids: int64 [B, K], below 0 where a value is not known: it does not count.
      logits: K times float32 [B, n].

    Returns:
      float32 [], cross-entropy, the mean over known values and the sum over attributes.
    """
    total = tf.constant(0.0)
    for index, scores in enumerate(logits):
        known = tf.cast(ids[:, index] >= 0, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.maximum(ids[:, index], 0), scores
        )
        total += tf.math.divide_no_nan(tf.reduce_sum(known * losses), tf.reduce_sum(known))
    return total


def augmenter(settings: AugmentConfig, seed: int) -> keras.Model:
    """Flips, turns, zooms and shifts float32 pictures [N, S, S, 3]; the new rim is white.

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
    if settings.shift:
        shift = keras.layers.RandomTranslation(
            settings.shift, settings.shift, seed=seed + 3, **fill
        )
        layers.append(shift)
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

"""The Keras model that is fitted: a `PairModel` with its training step.

A step encodes B images and B + B * H captions once each, and then scores images against captions:
the image's own caption is true; other captions of the batch and its H hard ones are negatives. So
negatives are new in every step, and cost only the small matcher, not the backbone.

With several replicas each encodes its part of the batch. The embeddings then go to all of them, and
each scores the whole batch: so the loss is that of one device.
"""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core import features
from core.config import AugmentConfig, TrainerConfig
from modules.network.layers import WithoutCommonPadding, leaves
from modules.network.model import ATTRIBUTES, PairModel
from modules.preprocessing import captions
from modules.training import distribution
from modules.training.augmentation import Augmentation
from modules.training.losses import attribute_loss, contrastive_loss, word_prediction_loss
from modules.training.negatives import in_batch_pairs, pair_weights

# InfoNCE's logit scale, to begin with and at most (Radford et al. 2021, "CLIP").
_FIRST_LOGIT_SCALE, _LAST_LOGIT_SCALE = 10.0, 100.0

_FROM_ALL_REPLICAS = (
    features.TOKENS,
    features.HARD_TOKENS,
    features.GROUP_HASH,
    features.ATTRIBUTES,
)


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
        self._augment = Augmentation(augmentation, settings.seed)
        # Trained along and thrown away: they teach the branches, and answer no request.
        if settings.word_loss_weight:
            self._words = keras.layers.Dense(vocabulary_size, name="words")
            self._words.build((None, model.image_encoder.output_shape[-1]))
        if settings.contrastive_loss_weight:
            self._log_logit_scale = self.add_weight(
                name="log_logit_scale",
                initializer=keras.initializers.Constant(math.log(_FIRST_LOGIT_SCALE)),
            )
        self._random = keras.random.SeedGenerator(settings.seed)
        self._loss = keras.metrics.Mean(name="loss")
        self._auc = _auc_metric()
        self._step = self._update
        if settings.xla:
            self._step = tf.function(self._update, jit_compile=True)
            for layer in leaves(model.caption_encoder):
                if isinstance(layer, WithoutCommonPadding):
                    layer.in_training = False
        self._augment.build(model.image_encoder.input_shape)
        self.built = True

    def call(self, pairs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Logits, float32 [B], of pairs as in `modules.training.inputs.validation_pairs`."""
        image = self._encode_images(pairs, training)
        caption = self.model.caption_encoder(pairs[features.TOKENS], training=training)
        logits = self.model.matcher([image, caption], training=training)
        return tf.cast(logits, tf.float32)

    def train_step(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One update from a batch of `modules.training.inputs.training_pairs`."""
        if features.PIXELS in batch:
            # By itself: XLA has nothing that turns and shifts pictures.
            pixels = tf.cast(batch[features.PIXELS], tf.float32)
            batch = {**batch, features.PIXELS: self._augment(pixels, training=True)}
        with distribution.own_device():
            return self._step(batch)

    def _update(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same from augmented pictures."""
        settings = self._settings
        kept = [name for name in _FROM_ALL_REPLICAS if name in batch]
        whole = dict(
            zip(kept, distribution.whole_batch([batch[name] for name in kept]), strict=True)
        )
        tokens, hard = whole[features.TOKENS], whole[features.HARD_TOKENS]
        size = tf.shape(tokens)[0]
        in_batch = in_batch_pairs(tokens, whole[features.GROUP_HASH], settings.random_negatives)
        weights = pair_weights(in_batch, hard, settings.hard_negative_share)
        labels = tf.concat([tf.eye(size), tf.zeros([size, hard.shape[1]])], axis=1)
        with tf.GradientTape() as tape:
            image, true, hard_negatives = distribution.whole_batch(
                [self._encode_images(batch, training=True), *self._encode_captions(batch)]
            )
            logits = self._score(image, true, hard_negatives)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(weights * losses) / tf.reduce_sum(weights)
            total = loss
            if settings.word_loss_weight:
                words = word_prediction_loss(tokens, self._words(image))
                total += settings.word_loss_weight * words
            if settings.contrastive_loss_weight:
                scale = tf.minimum(tf.exp(self._log_logit_scale), _LAST_LOGIT_SCALE)
                contrast = contrastive_loss(image, true, hard_negatives, weights > 0, scale)
                total += settings.contrastive_loss_weight * contrast
            if settings.attribute_loss_weight and features.ATTRIBUTES in whole:
                read = self.model.matcher.get_layer(ATTRIBUTES).logits
                total += settings.attribute_loss_weight * sum(
                    attribute_loss(whole[features.ATTRIBUTES], read(embedding))
                    for embedding in (image, true)
                )
            # The optimizer adds up what the replicas found.
            total /= distribution.replicas()
            total = self.optimizer.scale_loss(total)
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
        figures = {each.name: distribution.common_result(each) for each in (self._loss, self._auc)}
        if distribution.spans_workers(tf.distribute.get_strategy()):
            # Keras 3.15 takes the mean over their first axis, which a scalar does not have.
            return {name: figure[tf.newaxis] for name, figure in figures.items()}
        return figures

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds the optimizer, which is all that is not built by now.

        The only private method of Keras that is overridden. Keras 3.15's own draws a batch from
        the iterator and reduces it over the replicas, which breaks where these are in several
        workers. It can go as soon as a release of Keras draws none for a model that is built.
        """
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)

    def _encode_images(self, batch: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        """Embeddings of pictures, or of the features that stand for them in a frozen stage."""
        if features.IMAGE_FEATURES in batch:
            image = self.model.image_head(batch[features.IMAGE_FEATURES], training=training)
        else:
            pixels = tf.cast(batch[features.PIXELS], tf.float32)
            image = self.model.image_encoder(pixels, training=training)
        return tf.cast(image, tf.float32)

    def _encode_captions(self, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Embeddings of the true captions, float32 [B, D], and of the hard ones, [B, H, D]."""
        tokens, hard = batch[features.TOKENS], batch[features.HARD_TOKENS]
        size = tf.shape(tokens)[0]
        texts = tf.concat([tokens, tf.reshape(hard, [-1, tokens.shape[1]])], axis=0)
        if self._settings.word_dropout:
            texts = self._with_unknown_words(texts, size)
        caption = tf.cast(self.model.caption_encoder(texts, training=True), tf.float32)
        shape = [size, hard.shape[1], caption.shape[-1]]
        return caption[:size], tf.reshape(caption[size:], shape)

    def _with_unknown_words(self, texts: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """int64 [N, L], true captions and then hard ones, with some words taken for unknown ones.

        So no caption is known by a single rare word (Iyyer et al. 2015, "word dropout").
        """
        # For all replicas, so that a caption loses the words that it would lose on one device.
        replicas = distribution.replicas()
        shape = [tf.shape(texts)[0] * replicas, texts.shape[1]]
        chance = keras.random.uniform(shape, seed=self._random)
        if replicas > 1:
            true, hard = chance[: size * replicas], chance[size * replicas :]
            chance = tf.concat([distribution.own_part(each) for each in (true, hard)], axis=0)
        dropped = (chance < self._settings.word_dropout) & (texts != captions.PADDING_ID)
        return tf.where(dropped, tf.constant(captions.OOV_ID, texts.dtype), texts)

    def _score(self, image: tf.Tensor, true: tf.Tensor, hard: tf.Tensor) -> tf.Tensor:
        """Logits of every image with every caption of the batch and with its own hard negatives.

        Args:
          image: float32 [B, D].
          true: float32 [B, D], the true captions.
          hard: float32 [B, H, D].

        Returns:
          float32 [B, B + H].
        """
        size, width = tf.shape(image)[0], image.shape[-1]
        true = tf.broadcast_to(true[tf.newaxis], [size, size, width])
        texts = tf.concat([true, hard], axis=1)
        images = tf.broadcast_to(image[:, tf.newaxis], tf.shape(texts))
        logits = self.model.matcher(
            [tf.reshape(images, [-1, width]), tf.reshape(texts, [-1, width])], training=True
        )
        return tf.reshape(tf.cast(logits, tf.float32), [size, -1])


def _auc_metric() -> keras.metrics.AUC:
    return keras.metrics.AUC(name="auc", from_logits=True)


def training_auc(logits: np.ndarray, labels: np.ndarray) -> float:
    """The AUC as a training shows it.

    Args:
      logits: float32 [N].
      labels: float32 [N], 0 or 1.
    """
    metric = _auc_metric()
    metric.update_state(labels, logits)
    return float(metric.result())

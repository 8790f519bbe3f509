"""The optimizer of a stage, with its learning rate from step to step."""

from typing import Any

import keras
import tensorflow as tf

from core.config import TrainerConfig
from modules.training.stages import Stage


def build_optimizer(stage: Stage, settings: TrainerConfig) -> keras.optimizers.Optimizer:
    """AdamW, to be driven by `LearningRate`.

    In float16 small gradients would become 0: there the loss is scaled up, and the gradients down.

    Args:
      stage: how high the learning rate rises.
      settings: the `trainer` section.
    """
    adam = keras.optimizers.AdamW(stage.learning_rate, weight_decay=settings.weight_decay)
    if settings.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(adam)
    return adam


class LearningRate(keras.callbacks.Callback):
    """Sets the learning rate of every step: up along a line, then down along half a cosine.

    A schedule inside the optimizer would be the usual way, but Keras then works the rate out anew
    for every variable (`_apply_weight_decay`), which took a tenth of a step of a whole backbone.

    Args:
      stage: how high it rises, and for how many epochs it goes.
      steps: of an epoch.
      settings: the `trainer` section; after the rise, `schedule = "constant"` stays at the peak.
    """

    def __init__(self, stage: Stage, steps: int, settings: TrainerConfig):
        super().__init__()
        warmup = stage.warmup_epochs * steps
        schedule = keras.optimizers.schedules.CosineDecay(
            # Not from zero: the first step would change nothing.
            initial_learning_rate=stage.learning_rate / max(warmup, 1),
            warmup_target=stage.learning_rate if warmup else None,
            warmup_steps=warmup,
            decay_steps=max(stage.epochs * steps - warmup, 1),
            # The share of the peak that the cosine ends with.
            alpha=0.0 if settings.schedule == "cosine" else 1.0,
        )
        self._rate = tf.function(schedule, input_signature=[tf.TensorSpec([], tf.int64)])

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """By the steps done, those before a kill among them."""
        optimizer = self.model.optimizer
        step = keras.ops.convert_to_numpy(optimizer.iterations)
        optimizer.learning_rate = self._rate(tf.constant(step, tf.int64))

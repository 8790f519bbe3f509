"""The optimizer of a stage, with its learning rate from step to step."""

from typing import Any

import keras

from core.config import TrainerConfig
from modules.training.stages import Stage


def build_optimizer(
    stage: Stage, steps: int, settings: TrainerConfig
) -> keras.optimizers.Optimizer:
    """AdamW with warm-up.

    Args:
      stage: how high the learning rate rises, and for how many epochs it goes.
      steps: of an epoch.
      settings: the `trainer` section.
    """
    schedule = WarmupSchedule(
        stage.learning_rate,
        stage.warmup_epochs * steps,
        stage.epochs * steps if settings.schedule == "cosine" else None,
    )
    return keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay)


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

"""The optimizer of a stage, with its learning rate from step to step."""

import keras

from core.config import TrainerConfig
from modules.training.stages import Stage


def build_optimizer(
    stage: Stage, steps: int, settings: TrainerConfig
) -> keras.optimizers.Optimizer:
    """AdamW, whose learning rate rises along a line and then falls along half a cosine, or stays.

    Args:
      stage: how high the learning rate rises, and for how many epochs it goes.
      steps: of an epoch.
      settings: the `trainer` section.
    """
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
    return keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay)

"""The stages of a training: first with a frozen backbone, then with one that learns."""

import re
from dataclasses import dataclass

import keras

from core.config import TrainerConfig
from core.errors import DexmatchError
from modules.network.layers import leaves
from modules.network.model import PairModel


@dataclass(frozen=True)
class Stage:
    """A phase of a training with a learning rate, and a set of layers that learn, of its own.

    Attributes:
      name: of its folders.
      title: for people; empty where there is only the usual stage.
      is_frozen: whether the backbone stays as it is.
      epochs: at most.
      learning_rate: at its peak.
      warmup_epochs: until the peak.
    """

    name: str
    title: str
    is_frozen: bool
    epochs: int
    learning_rate: float
    warmup_epochs: int

    def freeze(self, model: PairModel, settings: TrainerConfig) -> None:
        """Sets which layers of the image branch learn in this stage.

        Raises:
          DexmatchError: `trainer.trainable_blocks` does not fit the backbone.
        """
        backbone = model.image_features
        backbone.trainable = not self.is_frozen
        if self.is_frozen:
            return
        layers = list(leaves(backbone))
        pattern = model.backbone.block_pattern
        for layer in layers[: _first_trainable(layers, pattern, settings)]:
            layer.trainable = False
        if settings.freeze_batch_norm:
            # Keras then uses the statistics of the pretraining, and does not move them either.
            for layer in layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False


def plan_stages(settings: TrainerConfig) -> list[Stage]:
    """The stages that a configuration asks for, in their order."""
    frozen = Stage(
        name="frozen",
        title="frozen backbone",
        is_frozen=True,
        epochs=settings.frozen_epochs,
        learning_rate=settings.frozen_learning_rate,
        # What learns here sits on features that do not move: it can go at full speed at once.
        warmup_epochs=0,
    )
    whole = Stage(
        name="fine_tuning",
        title="fine-tuning" if settings.frozen_epochs else "",
        is_frozen=False,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        warmup_epochs=settings.warmup_epochs,
    )
    return [stage for stage in (frozen, whole) if stage.epochs]


def _first_trainable(
    layers: list[keras.layers.Layer], block_pattern: re.Pattern[str], settings: TrainerConfig
) -> int:
    """Index of the first layer that learns; the pattern matches names of layers in a block."""
    if settings.trainable_blocks == "all":
        return 0
    first: dict[str, int] = {}
    for index, layer in enumerate(layers):
        if found := block_pattern.match(layer.name):
            first.setdefault(found[0], index)
    if settings.trainable_blocks > len(first):
        raise DexmatchError(
            f"trainer.trainable_blocks = {settings.trainable_blocks}: the backbone has "
            f'{len(first)} blocks; give a number up to that, or "all"'
        )
    return list(first.values())[-settings.trainable_blocks]

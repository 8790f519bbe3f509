"""What may happen to a training picture before the model sees it."""

from typing import Any

import keras

from core.config import AugmentConfig

_WHITE = 255.0


def build_augmentation(settings: AugmentConfig, seed: int) -> keras.Model:
    """Flips, turns, zooms and shifts float32 pictures [N, S, S, 3]; the new rim is white.

    Colours are left alone, because captions speak of them.

    Args:
      settings: the `augment` section.
      seed: of the draws.
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

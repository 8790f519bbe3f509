"""What may happen to a training picture before the model sees it."""

import math
from typing import Any

import keras
from keras import ops

from core.config import AugmentConfig
from modules.training import distribution

_WHITE = 255.0


class Augmentation(keras.layers.Layer):
    """Flips, turns, zooms and shifts pictures; the new rim is white.

    All four are one affine transformation, so that a picture is interpolated once; Keras has a
    layer for each, which take three times as long and blur it three times. Colours are left alone,
    because captions speak of them.

    Args:
      settings: the `augment` section.
      seed: of the draws.
    """

    def __init__(self, settings: AugmentConfig, seed: int, **options: Any):
        super().__init__(**options)
        self._settings = settings
        self._draws = keras.random.SeedGenerator(seed)

    def call(self, pixels: Any, training: bool = False) -> Any:
        """One transformation for each picture.

        Args:
          pixels: float32 [N, S, S, 3].
          training: otherwise nothing happens.

        Returns:
          float32 [N, S, S, 3].
        """
        if not training or not any(self._settings.model_dump().values()):
            return pixels
        count, size = ops.shape(pixels)[:2]
        transforms = self._transforms(count, ops.cast(size, "float32"))
        return ops.image.affine_transform(
            pixels, transforms, fill_mode="constant", fill_value=_WHITE
        )

    def _transforms(self, count: Any, size: Any) -> Any:
        """Where each pixel of a new picture lies in the old one.

        Returns:
          float32 [count, 8], as `keras.ops.image.affine_transform` takes them.
        """
        settings = self._settings
        # For all replicas, so that a picture meets what it would meet on one device.
        shape = (count * distribution.replicas(), 5)
        drawn = keras.random.uniform(shape, minval=-1.0, maxval=1.0, seed=self._draws)
        drawn = distribution.own_part(drawn)
        flip, turn, zoom, right, down = ops.unstack(drawn, 5, axis=1)
        angle = 2 * math.pi * settings.rotation * turn
        scale = 1 + settings.zoom * zoom
        mirror = ops.where(flip < 0, -1.0, 1.0) if settings.flip else ops.ones_like(flip)
        cosine, sine = scale * ops.cos(angle), scale * ops.sin(angle)
        across, along = mirror * cosine, -mirror * sine
        # From the centre of the new picture, shifted, to the centre of the old one.
        centre = (size - 1) / 2
        x = centre + settings.shift * size * right
        y = centre + settings.shift * size * down
        zero = ops.zeros_like(flip)
        rows = [
            *(across, along, centre - across * x - along * y),
            *(sine, cosine, centre - sine * x - cosine * y),
            *(zero, zero),
        ]
        return ops.stack(rows, axis=1)

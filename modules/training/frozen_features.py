"""Features of a frozen backbone: computed once for each picture, and reused in every epoch."""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from core import features, reporting
from modules.training import inputs


class Encoder:
    """A frozen backbone, traced once for all that it is to encode.

    Args:
      image_features: float32 [N, S, S, 3] in 0..255 to float32 [N, F].
      augment: what makes other views of float32 pictures.
    """

    def __init__(self, image_features: keras.Model, augment: keras.Model):
        size = image_features.input_shape[1]
        pixels = tf.TensorSpec([None, size, size, 3], tf.uint8)
        self._features = image_features
        self._augment = augment
        self.plain = tf.function(self._plain, input_signature=[pixels])
        self.augmented = tf.function(self._augmented, input_signature=[pixels])

    def _plain(self, pixels: tf.Tensor) -> tf.Tensor:
        return self._features(tf.cast(pixels, tf.float32), training=False)

    def _augmented(self, pixels: tf.Tensor) -> tf.Tensor:
        view = self._augment(tf.cast(pixels, tf.float32), training=True)
        return self._features(view, training=False)


def with_features(
    rows: tf.data.Dataset, encoder: Encoder, batch_size: int, views: int
) -> tf.data.Dataset:
    """Puts features in the place of pictures; they are held in memory.

    A picture of which several views are wanted is shown as it is and augmented, because later no
    augmentation can act on it.

    Args:
      rows: what `modules.training.inputs.pair_rows` returns.
      encoder: makes F features of a picture; 5 kB with EfficientNetB0.
      batch_size: pictures encoded at a time.
      views: V.

    Returns:
      The rows in their order, with `image_features` float32 [V, F] instead of `pixels`.
    """
    pictures = rows.map(inputs.decode_pixels, tf.data.AUTOTUNE, deterministic=True).batch(
        batch_size
    )
    batches = -(-inputs.count_rows(rows) // batch_size)

    def encoded(view: int) -> Iterator[np.ndarray]:
        encode = encoder.augmented if view else encoder.plain
        for index, batch in enumerate(pictures, start=1):
            yield encode(batch).numpy()
            reporting.report(
                "features of the frozen backbone", view * batches + index, views * batches
            )

    def replace(row: dict[str, tf.Tensor], found: tf.Tensor) -> dict[str, tf.Tensor]:
        kept = {name: value for name, value in row.items() if name != features.PIXELS}
        return {**kept, features.IMAGE_FEATURES: found}

    made = [np.concatenate(list(encoded(view))) for view in range(views)]
    found = tf.data.Dataset.from_tensor_slices(np.stack(made, axis=1))
    return tf.data.Dataset.zip(rows, found).map(replace)

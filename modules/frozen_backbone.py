"""Features of a frozen backbone: computed once for each picture, and reused in every epoch."""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from modules import features, inputs, reporting


def with_features(
    rows: tf.data.Dataset,
    image_features: keras.Model,
    batch_size: int,
    augment: keras.Model,
    views: int,
) -> tf.data.Dataset:
    """Puts features in the place of pictures; they are held in memory.

    A picture of which several views are wanted is shown as it is and augmented, because later no
    augmentation can act on it.

    Args:
      rows: what `modules.inputs.pair_rows` returns.
      image_features: float32 [N, S, S, 3] to float32 [N, F]; 5 kB a view with EfficientNetB0.
      batch_size: pictures encoded at a time.
      augment: makes the views after the first, from float32 pictures.
      views: V.

    Returns:
      The rows in their order, with `image_features` float32 [V, F] instead of `pixels`.
    """
    size = image_features.input_shape[1]

    # One trace for full batches and for the last one.
    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8)])
    def encode(pixels: tf.Tensor) -> tf.Tensor:
        return image_features(tf.cast(pixels, tf.float32), training=False)

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8)])
    def encode_augmented(pixels: tf.Tensor) -> tf.Tensor:
        return image_features(augment(tf.cast(pixels, tf.float32), training=True), training=False)

    pictures = rows.map(inputs.pixels, tf.data.AUTOTUNE, deterministic=True).batch(batch_size)
    batches = -(-inputs.count(rows) // batch_size)

    def encoded(view: int) -> Iterator[np.ndarray]:
        for index, batch in enumerate(pictures):
            yield (encode_augmented if view else encode)(batch).numpy()
            reporting.report(
                "features of the frozen backbone", view * batches + index + 1, views * batches
            )

    made = [np.concatenate(list(encoded(view))) for view in range(views)]

    def replace(row: dict[str, tf.Tensor], found: tf.Tensor) -> dict[str, tf.Tensor]:
        kept = {name: value for name, value in row.items() if name != features.PIXELS}
        return {**kept, features.IMAGE_FEATURES: found}

    found = tf.data.Dataset.from_tensor_slices(np.stack(made, axis=1))
    return tf.data.Dataset.zip(rows, found).map(replace)

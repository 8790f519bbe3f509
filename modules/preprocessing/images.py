"""From encoded image bytes to pixels, the same way in Transform and in the served model.

Both call `pixels_from_bytes`, so that training and serving cannot drift apart. It is built from ops
that every TensorFlow runtime has, because it is saved inside the served model.
"""

import tensorflow as tf

CHANNELS = 3
_WHITE = 255.0


def pixels_from_bytes(images: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes pictures and fits each into a white square.

    See-through pixels are laid on white, the aspect ratio is kept, scaling is bilinear with
    antialiasing, and the picture sits in the middle of the square. Of an animation the first frame
    is taken. A picture that cannot be decoded costs its own row only: an op error inside a
    `tf.data` element is dropped by `ignore_errors`, and a blank takes its place.

    Args:
      images: string [N], encoded PNG, JPEG, GIF, BMP or WebP files. N may be 0.
      size: height and width of the result in pixels.

    Returns:
      pixels: uint8 [N, size, size, 3], white where a picture could not be decoded.
      is_valid: bool [N].
    """

    def decode(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return fitted(image, size), True

    def decode_or_blank(image: tf.Tensor) -> tf.data.Dataset:
        decoded = tf.data.Dataset.from_tensors(image).map(decode).ignore_errors()
        return decoded.concatenate(blank).take(1)

    white = tf.fill([size, size, CHANNELS], tf.constant(int(_WHITE), tf.uint8))
    blank = tf.data.Dataset.from_tensors((white, False))
    count = tf.shape(images)[0]
    # One more element than asked for: `get_single_element` refuses an empty data set.
    padded = tf.concat([images, [""]], axis=0)
    decoded = tf.data.Dataset.from_tensor_slices(padded).interleave(
        decode_or_blank,
        cycle_length=8,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    pixels, is_valid = decoded.batch(tf.cast(count, tf.int64) + 1).get_single_element()
    return pixels[:count], is_valid[:count]


def fitted(image: tf.Tensor, size: int) -> tf.Tensor:
    """One picture, as `pixels_from_bytes` fits each.

    Args:
      image: string [], an encoded file.
      size: height and width of the result in pixels.

    Returns:
      uint8 [size, size, 3].

    Raises:
      tf.errors.OpError: it cannot be decoded.
    """
    return _fit(_on_white(image), size)


def _on_white(image: tf.Tensor) -> tf.Tensor:
    """string [] to float32 [height, width, 3] in 0..255."""
    # channels=0 keeps what the file has: asking for 4 makes JPEG files fail.
    decoded = tf.io.decode_image(image, channels=0, expand_animations=False)
    decoded = tf.cast(decoded, tf.float32)
    # Most are. To choose and blend what need not be takes longer than to decode it.
    is_opaque_rgb = tf.equal(tf.shape(decoded)[-1], CHANNELS)
    return tf.cond(is_opaque_rgb, lambda: decoded, lambda: _blended(decoded))


def _blended(decoded: tf.Tensor) -> tf.Tensor:
    """float32 [height, width, 1 to 4] to [height, width, 3]."""
    channels = tf.shape(decoded)[-1]
    is_grey = channels <= 2
    has_alpha = tf.equal(channels % 2, 0)
    colour = tf.gather(decoded, tf.where(is_grey, [0, 0, 0], [0, 1, 2]), axis=-1)
    opacity = tf.where(has_alpha, decoded[..., -1:] / _WHITE, 1.0)
    return colour * opacity + _WHITE * (1.0 - opacity)


def _fit(image: tf.Tensor, size: int) -> tf.Tensor:
    """float32 [height, width, 3] to uint8 [size, size, 3]."""
    height_width = tf.shape(image)[:2]
    scale = size / tf.reduce_max(height_width)
    fitted = tf.cast(tf.round(tf.cast(height_width, scale.dtype) * scale), tf.int32)
    fitted = tf.maximum(fitted, 1)
    resized = tf.image.resize(image, fitted, antialias=True)
    before = (size - fitted) // 2
    after = size - fitted - before
    padding = tf.stack([before, after], axis=1)
    padded = tf.pad(resized, tf.concat([padding, [[0, 0]]], axis=0), constant_values=_WHITE)
    rounded = tf.cast(tf.clip_by_value(tf.round(padded), 0.0, _WHITE), tf.uint8)
    return tf.ensure_shape(rounded, [size, size, CHANNELS])

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
    is taken. A picture that cannot be decoded costs its own row only: `ignore_errors` drops the
    element of a `tf.data` map in which an op failed, and the row stays blank.

    Args:
      images: string [N], encoded PNG, JPEG, GIF, BMP or WebP files. N may be 0.
      size: height and width of the result in pixels.

    Returns:
      pixels: uint8 [N, size, size, 3], white where a picture could not be decoded.
      is_valid: bool [N].
    """

    def decode(number: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return number, fitted(image, size)

    count = tf.shape(images, out_type=tf.int64)[0]
    blank = tf.fill([size, size, CHANNELS], tf.constant(int(_WHITE), tf.uint8))
    # One more element, for `get_single_element` refuses a data set that holds none.
    last = tf.data.Dataset.from_tensors((count, blank))
    decoded = (
        tf.data.Dataset.from_tensor_slices(images)
        .enumerate()
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .ignore_errors()
        .concatenate(last)
    )
    numbers, pixels = decoded.batch(count + 1).get_single_element()
    rows = numbers[:-1, tf.newaxis]
    blanks = tf.fill(tf.stack([count, size, size, CHANNELS]), tf.constant(int(_WHITE), tf.uint8))
    return (
        tf.tensor_scatter_nd_update(blanks, rows, pixels[:-1]),
        tf.scatter_nd(rows, tf.ones_like(numbers[:-1], tf.bool), [count]),
    )


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

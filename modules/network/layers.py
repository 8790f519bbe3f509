"""The layers of the model that Keras does not have, and a walk through those of any model."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

CLASSIFIER = "classifier"
"""Name of the dense layer of `Agreement`."""
SHARES = "shares"
"""Name of the weight of `Agreement` that is counted, not learned."""


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Every layer that is no model, those of models in it too, from the input on."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


class ColorHistogram(keras.layers.Layer):
    """How much of a picture has which colour (Swain and Ballard 1991, "Color Indexing").

    Each pixel is shared out among the nearest of `bins` steps of red, green and blue. The root of
    the shares is taken, so that their dot product compares two histograms by Hellinger's measure.
    It tells colours with few pictures to learn from, where convolutions need many.

    Of large pictures it looks at every second, third, ... pixel of a row and column: the shares
    hardly change, and at 224 x 224 all pixels would take half as long as a network does.

    Args:
      bins: steps of each channel.
    """

    # Pixels in a row or column that tell enough.
    _ENOUGH = 64

    def __init__(self, bins: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.bins = bins

    def build(self, input_shape: Any) -> None:
        """Takes [N, H, W, 3]."""
        self._every = max(min(input_shape[1:3]) // self._ENOUGH, 1)
        self.built = True

    def call(self, pixels: Any) -> Any:
        """float32 [N, H, W, 3] in 0..255 to float32 [N, bins ** 3]."""
        ops = keras.ops
        pixels = pixels[:, :: self._every, :: self._every]
        count = ops.shape(pixels)[0]
        steps = ops.reshape(pixels, (count, -1, 3, 1)) * ((self.bins - 1) / 255.0)
        near = ops.maximum(0.0, 1.0 - ops.abs(steps - ops.arange(self.bins, dtype=steps.dtype)))
        red, green, blue = (near[:, :, channel] for channel in range(3))
        both = ops.reshape(red[..., :, None] * green[..., None, :], (count, -1, self.bins**2))
        sums = ops.matmul(ops.transpose(both, (0, 2, 1)), blue)
        shares = sums / ops.cast(ops.shape(near)[1], sums.dtype)
        # The root has no slope at 0.
        return ops.sqrt(ops.reshape(shares, (-1, self.bins**3)) + 1e-6)


class WithoutCommonPadding(keras.layers.Layer):
    """Cuts off the padding at the end that all captions of a batch have.

    What is masked changes no state of a recurrent layer, but takes as long as a word.

    Attributes:
      in_training: whether it does so there too. XLA wants the same length for each batch.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.in_training = True

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        """int64 [N, L] to int64 [N, K]: K is the length of the longest, at least 1."""
        if training and not self.in_training:
            return tokens
        ops = keras.ops
        # 0 is padding, as for Embedding's `mask_zero`.
        ends = ops.where(tokens != 0, ops.arange(1, tokens.shape[1] + 1), 1)
        return tokens[:, : ops.max(ends, initial=1)]

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, None]:
        """The length is that of the batch."""
        return input_shape[0], None


class MaskedMaxPooling1D(keras.layers.Layer):
    """The greatest value of each unit over the words of a caption; padding does not count.

    Keras' GlobalMaxPooling1D does not look at the mask: with it, the states at the padding would
    take part. (Its GlobalAveragePooling1D does look.)
    """

    _LEAST = -1e4

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, values: Any, mask: Any = None) -> Any:
        """float32 [N, L, U], mask bool [N, L], to float32 [N, U]; zeros where there is no word."""
        if mask is None:
            return keras.ops.max(values, axis=1)
        greatest = keras.ops.max(keras.ops.where(mask[..., None], values, self._LEAST), axis=1)
        return keras.ops.where(greatest > self._LEAST, greatest, 0.0)

    def compute_mask(self, values: Any, mask: Any = None) -> None:
        """There are no words any more."""
        return


class PowerNormalization(keras.layers.Layer):
    """The root of each feature, sign kept, and then unit length.

    Perronnin, Sánchez and Mensink 2010, "Improving the Fisher Kernel". A few features of a
    pretrained network are large and most are nearly 0; with few pictures to learn from, all the
    others must be heard as well. Unlike batch normalisation it does not raise features that hardly
    vary to the size of those that tell pictures apart, and it needs no statistics.
    """

    # The root has no slope at 0.
    _LEAST = 1e-3

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.unit_length = keras.layers.UnitNormalization()

    def call(self, features: Any) -> Any:
        """float32 [N, F] to float32 [N, F]."""
        return self.unit_length(features / keras.ops.sqrt(keras.ops.abs(features) + self._LEAST))


class Agreement(keras.layers.Layer):
    """How likely it is that picture and caption tell of the same value, attribute by attribute.

    One classifier reads the values of all attributes (metadata columns, such as colour) from an
    embedding, be it a picture's or a caption's. Two embeddings agree on an attribute as far as
    their classes coincide, the more so the rarer the class:
    log(sum_v p(v | picture) p(v | caption) / p(v)), which is how many times as often the values
    coincide as those of any picture and caption would; 0 if either tells nothing but p(v), the
    value's share of the training pairs. Classes and shares come from the training data's metadata;
    to be served it needs none.

    Args:
      sizes: number of values of each attribute.
    """

    LEAST = 0.05
    """Keeps the logarithm of no agreement at all within reason."""

    def __init__(self, sizes: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.sizes = tuple(sizes)
        self.classifier = keras.layers.Dense(
            sum(self.sizes), dtype=self.dtype_policy, name=CLASSIFIER
        )

    def build(self, input_shape: Any) -> None:
        """Takes the shapes of two embeddings."""
        self.classifier.build(input_shape[0])
        self.shares = self.add_weight(
            name=SHARES, shape=(sum(self.sizes),), initializer="ones", trainable=False
        )
        self.adapt([np.zeros(size) for size in self.sizes])
        self.built = True

    def adapt(self, counts: Sequence[np.ndarray]) -> None:
        """Sets the shares of the values; without it, all values of an attribute are as frequent.

        Args:
          counts: for each attribute, how many pairs have which value, int [n].
        """
        # As if every value had been there once more (Laplace), so that no share is 0.
        self.shares.assign(
            np.concatenate([(each + 1) / (each.sum() + len(each)) for each in counts])
        )

    def logits(self, embedding: Any) -> list[Any]:
        """float32 [N, D] to float32 [N, n] for each attribute."""
        return self._by_attribute(self.classifier(embedding))

    def call(self, embeddings: list[Any]) -> Any:
        """[image, caption], each float32 [N, D], to float32 [N, number of attributes]."""
        image, caption = (
            [keras.ops.softmax(logits) for logits in self.logits(embedding)]
            for embedding in embeddings
        )
        shares = self._by_attribute(self.shares)
        same = [
            keras.ops.sum(mine * theirs / share, axis=-1)
            for mine, theirs, share in zip(image, caption, shares, strict=True)
        ]
        return keras.ops.log(keras.ops.stack(same, axis=-1) + self.LEAST)

    def _by_attribute(self, values: Any) -> list[Any]:
        if len(self.sizes) == 1:  # Keras' split refuses to make one part.
            return [values]
        ends = [sum(self.sizes[: index + 1]) for index in range(len(self.sizes) - 1)]
        return list(keras.ops.split(values, ends, axis=-1))


class Calibration(keras.layers.Layer):
    """low * log p + high * -log(1 - p) + offset, where p is the logit's probability.

    It makes probabilities true ones; see `modules.training.calibration`. `low` is the slope where
    logits are low, `high` where they are high; where both are the same, it is Platt's
    scale * logit + offset (Kull, Silva Filho and Flach 2017, "Beta calibration"). It is no part of
    the training, and does nothing until it is set.
    """

    def build(self, input_shape: Any) -> None:
        """Three numbers, whatever the shape."""
        self.low = self.add_weight(name="low", initializer="ones", trainable=False)
        self.high = self.add_weight(name="high", initializer="ones", trainable=False)
        self.offset = self.add_weight(name="offset", initializer="zeros", trainable=False)

    def call(self, logits: Any) -> Any:
        """float32 [N] to float32 [N]."""
        softplus = keras.ops.softplus
        return self.high * softplus(logits) - self.low * softplus(-logits) + self.offset

"""Features of a frozen backbone: computed once for each view of each picture, and kept in files.

Every epoch reads them from there, as do the models of `modules.training.cross_fitting`, whose
backbones are the same; so 100,000 pictures need no more memory than 100. A run after a kill finds
them again.
"""

from collections.abc import Iterator

import keras
import tensorflow as tf

from core import features, reporting
from modules.training import distribution, inputs
from modules.training.augmentation import Augmentation
from modules.training.inputs import Splits
from modules.training.setup import TrainingSetup

FOLDER = "features"


class FrozenFeatures:
    """A backbone that does not learn, and what it says of the pictures of both splits.

    Args:
      image_features: float32 [N, S, S, 3] in 0..255 to float32 [N, F].
      setup: how many views of a training picture there are, V, and how they are made: the first
        shows it as it is, the others are augmented, because later no augmentation can act on it.
        Of a validation picture there is one.
      folder: of the files; what is there is taken for what would be computed.
    """

    def __init__(self, image_features: keras.Model, setup: TrainingSetup, folder: str):
        size = image_features.input_shape[1]
        pixels = tf.TensorSpec([None, size, size, 3], tf.uint8)
        self._model = image_features
        # Of its own, so that views are the same in a run that resumes.
        self._augment = Augmentation(setup.config.augment, setup.config.trainer.seed)
        self._views = {"train": setup.config.trainer.frozen_views, "val": 1}
        self._folder = folder
        self._plain = tf.function(self._encode_plain, input_signature=[pixels])
        self._augmented = tf.function(self._encode_augmented, input_signature=[pixels])

    def rows(self, pictures: Splits) -> Splits:
        """Puts features in the place of pictures, once `compute` has written them.

        Returns:
          The rows in their order, with `image_features` float32 [V, F] instead of `pixels`.
        """
        return Splits(
            train=self._replaced(pictures.train, "train"), val=self._replaced(pictures.val, "val")
        )

    def compute(self, pictures: Splits, batch_size: int) -> None:
        """Writes the features, unless an earlier run did.

        Args:
          pictures: what was given to `rows`.
          batch_size: pictures encoded at a time.
        """
        missing = {
            split: rows
            for split, rows in (("train", pictures.train), ("val", pictures.val))
            if not tf.io.gfile.exists(self._file(split))
        }
        total = sum(inputs.count_rows(rows) * self._views[split] for split, rows in missing.items())
        done = 0
        for split, rows in missing.items():
            for count in self._write(rows, split, batch_size):
                done += count
                reporting.report("features of the frozen backbone", done, total)

    def _write(self, rows: tf.data.Dataset, split: str, batch_size: int) -> Iterator[int]:
        """Yields how many views have become features, batch by batch."""
        pictures = rows.map(inputs.decode_pixels, tf.data.AUTOTUNE, deterministic=True)
        unfinished = f"{self._file(split)}.part"
        tf.io.gfile.makedirs(self._folder)
        with tf.io.TFRecordWriter(unfinished) as writer:
            for batch in pictures.batch(batch_size).prefetch(1):
                views = [self._plain(batch)]
                views += [self._augmented(batch) for _ in range(self._views[split] - 1)]
                found = tf.stack(views, axis=1)
                writer.write(tf.io.serialize_tensor(found).numpy())
                yield found.shape[0] * found.shape[1]
        tf.io.gfile.rename(unfinished, self._file(split), overwrite=True)

    def _replaced(self, rows: tf.data.Dataset, split: str) -> tf.data.Dataset:
        shape = [None, self._views[split], self._model.output_shape[-1]]

        def parsed(record: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.io.parse_tensor(record, tf.float32), shape)

        def replace(row: dict[str, tf.Tensor], found: tf.Tensor) -> dict[str, tf.Tensor]:
            kept = {name: value for name, value in row.items() if name != features.PIXELS}
            return {**kept, features.IMAGE_FEATURES: found}

        found = tf.data.TFRecordDataset(self._file(split)).map(parsed).unbatch()
        return tf.data.Dataset.zip(rows, found).map(replace)

    def _file(self, split: str) -> str:
        # Workers may share the folder, and each goes through the rows in its own time.
        return tf.io.gfile.join(self._folder, f"{split}-{distribution.process_name()}")

    def _encode_plain(self, pixels: tf.Tensor) -> tf.Tensor:
        return self._encode(tf.cast(pixels, tf.float32))

    def _encode_augmented(self, pixels: tf.Tensor) -> tf.Tensor:
        view = self._augment(tf.cast(pixels, tf.float32), training=True)
        return self._encode(view)

    def _encode(self, pixels: tf.Tensor) -> tf.Tensor:
        """float32 [N, F], in whatever precision it was computed."""
        return tf.cast(self._model(pixels, training=False), tf.float32)

"""Logs for TensorBoard: figures after every epoch, and what the model says of a few pairs.

TensorFlow writes events by itself; its `tf.summary.scalar` and Keras' TensorBoard callback want the
TensorBoard package installed as well, which only reading needs. So these are written by
`tf.summary.write`, with the names by which TensorBoard's plugins know their data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from core import features
from modules.preprocessing import captions
from modules.training import inputs

EXAMPLES_PER_LABEL = 2

# tensorflow.DataClass: what TensorBoard loads the data as.
_SCALAR, _TENSOR, _BLOB_SEQUENCE = 1, 2, 3

_VALIDATION = "val_"


@dataclass(frozen=True)
class Examples:
    """Some pairs of the validation split, for people to look at.

    Attributes:
      pictures: uint8 [K, S, S, 3].
      captions: K texts.
      labels: K times whether the caption belongs to the picture.
      pairs: what the trained model takes, see `modules.training.inputs.validation_pairs`.
    """

    pictures: tf.Tensor
    captions: Sequence[str]
    labels: Sequence[bool]
    pairs: dict[str, tf.Tensor]


def choose_examples(
    rows: tf.data.Dataset, judged: tf.data.Dataset, vocabulary: Sequence[str]
) -> Examples:
    """Takes the first matched and the first wrong pairs.

    Args:
      rows: of the validation split, with pictures.
      judged: the same rows as the model takes them, with pictures or features.
      vocabulary: its words, in the order of their ids.
    """
    pictures = [inputs.decode_pixels(row) for row in _chosen(rows)]
    chosen = _chosen(judged)
    (pairs, labels) = next(iter(inputs.validation_pairs(chosen, 2 * EXAMPLES_PER_LABEL)))
    texts = [_text(ids, vocabulary) for ids in pairs[features.TOKENS].numpy()]
    return Examples(tf.stack(pictures), texts, [bool(label) for label in labels], pairs)


def _chosen(rows: tf.data.Dataset) -> tf.data.Dataset:
    matched = rows.filter(lambda row: row[features.LABEL] > 0).take(EXAMPLES_PER_LABEL)
    wrong = rows.filter(lambda row: row[features.LABEL] < 1).take(EXAMPLES_PER_LABEL)
    return matched.concatenate(wrong)


def _text(ids: Sequence[int], vocabulary: Sequence[str]) -> str:
    known = [
        vocabulary[token - captions.FIRST_WORD_ID] if token >= captions.FIRST_WORD_ID else "?"
        for token in ids
        if token != captions.PADDING_ID
    ]
    return " ".join(known)


class TensorBoard(keras.callbacks.Callback):
    """Writes losses, AUC, learning rate and examples, under the epoch's number, from 1.

    Args:
      directory: gets `train` and `validation`, which TensorBoard draws into the same charts.
      shown: the examples; their pictures are written once.
    """

    def __init__(self, directory: str, shown: Examples):
        super().__init__()
        self._directory = directory
        self._shown = shown

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the files and writes the pictures."""
        self._train, self._validation = (
            tf.summary.create_file_writer(tf.io.gfile.join(self._directory, name))
            for name in ("train", "validation")
        )
        shape = [str(size) for size in self._shown.pictures.shape[1:3]]
        encoded = [tf.io.encode_png(picture) for picture in self._shown.pictures]
        with self._validation.as_default(step=0):
            _write("example pictures", "images", _BLOB_SEQUENCE, [*shape[::-1], *encoded])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the figures, and a table of the examples."""
        figures = logs or {}
        rate = {"learning_rate": float(self.model.optimizer.learning_rate)}
        with self._train.as_default(step=epoch + 1):
            for name, value in {**figures, **rate}.items():
                if not name.startswith(_VALIDATION):
                    _write(name, "scalars", _SCALAR, float(value))
        with self._validation.as_default(step=epoch + 1):
            for name, value in figures.items():
                if name.startswith(_VALIDATION):
                    _write(name.removeprefix(_VALIDATION), "scalars", _SCALAR, float(value))
            _write("example pairs", "text", _TENSOR, [self._table()])
        self._train.flush()
        self._validation.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the files."""
        self._train.close()
        self._validation.close()

    def _table(self) -> str:
        """Markdown: a line for each example pair."""
        probabilities = tf.sigmoid(self.model(self._shown.pairs, training=False)).numpy()
        shown = zip(self._shown.captions, self._shown.labels, probabilities, strict=True)
        lines = [
            f"| {number} | {caption} | {'matched' if label else 'wrong'} | {probability:.3f} |"
            for number, (caption, label, probability) in enumerate(shown, start=1)
        ]
        return "\n".join(["| picture | caption | is | probability |", "|-|-|-|-|", *lines])


def _write(tag: str, plugin: str, data_class: int, value: Any) -> None:
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name=plugin),
        data_class=data_class,
    )
    tf.summary.write(tag, tf.convert_to_tensor(value), metadata=metadata)

"""What TensorBoard shows of a training: Keras' figures, and what the model says of a few pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from core import features
from modules.preprocessing import captions
from modules.training import inputs

EXAMPLES_PER_LABEL = 2


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
    pictures = [inputs.decode_pixels(row) for row in _first_of_each_label(rows)]
    chosen = _first_of_each_label(judged)
    (pairs, labels) = next(iter(inputs.validation_pairs(chosen, 2 * EXAMPLES_PER_LABEL)))
    texts = [_text(ids, vocabulary) for ids in pairs[features.TOKENS].numpy()]
    return Examples(tf.stack(pictures), texts, [bool(label) for label in labels], pairs)


def _first_of_each_label(rows: tf.data.Dataset) -> tf.data.Dataset:
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


def tensorboard_callbacks(directory: str, shown: Examples) -> list[keras.callbacks.Callback]:
    """Writes losses, AUC and learning rate after every epoch, and the examples beside them.

    Args:
      directory: gets `train` and `validation`, which TensorBoard draws into the same charts.
      shown: the examples; their pictures are written once.
    """
    return [
        keras.callbacks.TensorBoard(directory, write_graph=False),
        ExamplePairs(tf.io.gfile.join(directory, "validation"), shown),
    ]


class ExamplePairs(keras.callbacks.Callback):
    """Writes pictures as the training begins, and a table of their pairs after every epoch.

    Args:
      directory: gets the events.
      shown: the examples.
    """

    def __init__(self, directory: str, shown: Examples):
        super().__init__()
        self._directory = directory
        self._shown = shown

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the file and writes the pictures."""
        # Without a graph, the LSTM of four captions takes half a second.
        self._logits = tf.function(lambda pairs: self.model(pairs, training=False))
        self._writer = tf.summary.create_file_writer(self._directory)
        pictures = self._shown.pictures
        with self._writer.as_default():
            tf.summary.image("example pictures", pictures, step=0, max_outputs=len(pictures))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a table of the examples."""
        with self._writer.as_default():
            tf.summary.text("example pairs", self._table(), step=epoch)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the file."""
        self._writer.close()

    def _table(self) -> str:
        """Markdown: a line for each example pair."""
        probabilities = tf.sigmoid(self._logits(self._shown.pairs)).numpy()
        shown = zip(self._shown.captions, self._shown.labels, probabilities, strict=True)
        lines = [
            f"| {number} | {caption} | {'matched' if label else 'wrong'} | {probability:.3f} |"
            for number, (caption, label, probability) in enumerate(shown, start=1)
        ]
        return "\n".join(["| picture | caption | is | probability |", "|-|-|-|-|", *lines])

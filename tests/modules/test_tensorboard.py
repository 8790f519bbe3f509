import keras
import numpy as np
import pytest
import tensorflow as tf

from core import features
from modules.training import tensorboard

VOCABULARY = ["red", "bird", "green"]


def rows(labels):
    """Pair n has a picture of grey level n, and the caption "red bird ?"."""
    png = [tf.io.encode_png(np.full((4, 6, 3), n, np.uint8)).numpy() for n in range(len(labels))]
    return tf.data.Dataset.from_tensor_slices(
        {
            features.PIXELS: png,
            features.TOKENS: tf.constant([[2, 3, 1, 0]] * len(labels), tf.int64),
            features.LABEL: tf.constant(labels, tf.int64),
        }
    )


class Judge(keras.Model):
    """Says 0 whatever it sees: a probability of a half."""

    def call(self, pairs, training=False):
        return tf.zeros([tf.shape(pairs[features.TOKENS])[0]])


@pytest.fixture
def events(tmp_path):
    """(writer, tag, step) to the tensor written, after two epochs."""
    pairs = rows([0, 0, 0, 1, 1, 1])
    judge = Judge()
    judge.compile(optimizer=keras.optimizers.Adam(0.25))
    shown = tensorboard.choose_examples(pairs, pairs, VOCABULARY)
    callbacks = keras.callbacks.CallbackList(
        tensorboard.tensorboard_callbacks(str(tmp_path), shown), model=judge
    )
    callbacks.on_train_begin()
    callbacks.on_epoch_end(0, {"loss": 2.0, "auc": 0.5, "val_loss": 3.0, "val_auc": 0.75})
    callbacks.on_epoch_end(1, {"loss": 1.0, "auc": 0.5, "val_loss": 3.0, "val_auc": 0.75})
    callbacks.on_train_end()
    found = {}
    for folder in tmp_path.iterdir():
        for file in folder.iterdir():
            for event in tf.compat.v1.train.summary_iterator(str(file)):
                for value in event.summary.value:
                    plugin = value.metadata.plugin_data.plugin_name
                    tensor = tf.make_ndarray(value.tensor)
                    found[folder.name, value.tag, event.step] = plugin, tensor
    return found


def test_figures_are_written_after_every_epoch(events):
    for step, loss in ((0, 2.0), (1, 1.0)):
        assert events["train", "epoch_loss", step] == ("scalars", loss)
        assert events["train", "epoch_learning_rate", step] == ("scalars", 0.25)
        assert events["validation", "epoch_loss", step] == ("scalars", 3.0)
        assert events["validation", "epoch_auc", step] == ("scalars", 0.75)


def test_pictures_are_written_once(events):
    assert [step for _, tag, step in events if tag == "example pictures"] == [0]
    plugin, (width, height, *pictures) = events["validation", "example pictures", 0]
    assert (plugin, width, height) == ("images", b"6", b"4")
    levels = [int(tf.io.decode_png(picture)[0, 0, 0]) for picture in pictures]
    assert levels == [3, 4, 0, 1]  # Two that match, then two that do not.


def test_every_epoch_has_a_table_of_pairs_with_their_probability(events):
    for step in (0, 1):
        plugin, text = events["validation", "example pairs", step]
        lines = text.item().decode().splitlines()
        assert plugin == "text"
        assert lines[2] == "| 1 | red bird ? | matched | 0.500 |"
        assert lines[4] == "| 3 | red bird ? | wrong | 0.500 |"
        assert len(lines) == 6

"""Makes the models of the serving tests."""

import tempfile
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from core.config import ModelConfig
from modules.export import signatures
from modules.network import backbones, model

SIZE, LENGTH, WIDTH = 32, 6, 8
WORDS = ("a", "red", "blue", "bird", "fish")


def _tiny_backbone(backbone, weights_name, size):
    pixels = keras.Input((size, size, 3))
    values = keras.layers.Rescaling(1 / 255)(pixels)
    values = keras.layers.Normalization()(values)
    values = keras.layers.Conv2D(4, 3, strides=4)(values)
    return keras.Model(pixels, keras.layers.BatchNormalization()(values), name="tiny")


def push(folder, seed=1):
    """Saves a dexmatch model; another seed gives other answers."""
    keras.utils.set_random_seed(seed)
    settings = ModelConfig(
        feature_levels=("top",), embedding_dim=WIDTH, recurrent_units=8, word_dim=8, hidden_units=8
    )
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        vocabulary = Path(scratch) / "words.txt"
        vocabulary.write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
        patch.setattr(backbones, "load_backbone", _tiny_backbone)
        built = model.build(settings, SIZE, LENGTH, len(WORDS) + 2)
        made = signatures.ServingModel(built, str(vocabulary), SIZE, LENGTH, WIDTH)
        signatures.save(made, str(folder))


LINGER_S = 4.0


class Toy(tf.Module):
    """Signatures that dexmatch has not.

    Args:
      offset: what `serving_default` adds, so that versions can be told apart.
    """

    def __init__(self, offset):
        super().__init__()
        self.offset = tf.Variable(offset, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def add(self, x):
        """float32 [N] to {"y": x + offset}: the only input of the only output."""
        return {"y": x + self.offset}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def linger(self, x):
        """As `add`, after `LINGER_S`: a request that is under way for as long."""
        # Not a loop over the clock: TensorFlow refuses that one once another test of the process
        # has turned op determinism on.
        asleep = tf.raw_ops.SleepDataset(
            input_dataset=tf.data.experimental.to_variant(tf.data.Dataset.from_tensors(x)),
            sleep_microseconds=tf.constant(round(LINGER_S * 1e6), tf.int64),
            output_types=[tf.float32],
            output_shapes=[[None]],
        )
        woken = tf.data.experimental.from_variant(asleep, tf.TensorSpec([None], tf.float32))
        return {"y": woken.get_single_element() + self.offset}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, "count"),
            tf.TensorSpec([None, 2], tf.float32, "point"),
            tf.TensorSpec([None], tf.string, "text"),
        ]
    )
    def mixed(self, count, point, text):
        """Several types, a fixed inner shape, and an output of bytes."""
        return {
            "doubled": count * 2,
            "norm": tf.norm(point, axis=1),
            "is_far": tf.norm(point, axis=1) > 1.0,
            "text_bytes": tf.strings.join([text, "\x00!"]),
        }

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, "values")])
    def total(self, values):
        """int32 [N, free] to int32 [N]."""
        return {"sum": tf.reduce_sum(values, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "x")])
    def scalar(self, x):
        """A number to a number: not to be joined."""
        return {"y": x + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def summary(self, x):
        """Outputs whose first dimensions differ."""
        return {"all": x, "mean": tf.reduce_mean(x, keepdims=True)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def parse(self, text):
        """Fails where the text is no number."""
        return {"number": tf.strings.to_number(text)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classes(self, inputs):
        """tf.Examples with a float `a` to two labels each, as Classify asks for."""
        a = self._a(inputs)
        return {
            "classes": tf.tile([["much", "little"]], [tf.shape(a)[0], 1]),
            "scores": tf.stack([a, 1 - a], axis=1),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def value(self, inputs):
        """tf.Examples with a float `a` to a + offset, as Regress asks for."""
        return {"outputs": self._a(inputs) + self.offset}

    def _a(self, examples):
        spec = {"a": tf.io.FixedLenFeature([], tf.float32, default_value=0.0)}
        return tf.io.parse_example(examples, spec)["a"]

    def signatures(self):
        """By name."""
        names = ("linger", "mixed", "total", "scalar", "summary", "parse", "classes", "value")
        return {
            "serving_default": self.add,
            **{name: getattr(self, name) for name in names},
        }


def save_toy(folder, offset=1):
    """Saves a toy."""
    toy = Toy(offset)
    tf.saved_model.save(toy, str(folder), signatures=toy.signatures())

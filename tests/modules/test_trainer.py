"""`run_fn` on a handful of pairs, through TFX's own arguments."""

import io
import json
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from PIL import Image
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from modules import features, preprocessing, trainer
from pipeline import config as configs
from pipeline.errors import DexmatchError

COLORS = ("red", "green", "blue", "yellow", "black", "white")
SMALL = (
    "image.size=32",
    "caption.max_tokens=4",
    "model.embedding_dim=8",
    "model.recurrent_units=8",
    "model.word_dim=8",
    "model.hidden_units=8",
    "trainer.epochs=2",
    "trainer.batch_size=6",
)


def settings(*overrides: str) -> dict:
    """What the pipeline hands to the Trainer, through JSON as TFX does."""
    tree = configs.load(None, [*SMALL, *overrides]).model_dump(mode="json")
    sections = ("image", "caption", "model", "trainer", "augment")
    return json.loads(json.dumps({name: tree[name] for name in sections}))


def raw(number: int) -> dict:
    color = COLORS[number % len(COLORS)]
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16), color).save(buffer, "PNG")
    return {
        features.IMAGE: [buffer.getvalue()],
        features.CAPTION: [f"a {color} square {number}".encode()],
        features.GROUP: [b"%d" % number],
        features.LABEL: [1 - number % 2],
    }


@pytest.fixture(scope="module")
def transformed(tmp_path_factory):
    """A folder with a transform graph, and files with 12 transformed pairs, and with none."""
    folder = tmp_path_factory.mktemp("transformed")
    spec = {
        name: tf.io.FixedLenFeature([1], tf.int64 if name == features.LABEL else tf.string)
        for name in (features.IMAGE, features.CAPTION, features.GROUP, features.LABEL)
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    with tft_beam.Context(temp_dir=tempfile.mkdtemp()):
        (rows, made), transform_fn = (
            [raw(number) for number in range(12)],
            metadata,
        ) | tft_beam.AnalyzeAndTransformDataset(
            lambda columns: preprocessing.preprocessing_fn(columns, settings())
        )
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
    coder = tft.coders.ExampleProtoCoder(made.schema)
    for name, chosen in (("pairs", rows), ("none", [])):
        with tf.io.TFRecordWriter(str(folder / f"{name}.gz"), "GZIP") as writer:
            for row in chosen:
                writer.write(coder.encode(row))
    return folder


def train(transformed, target, *overrides, train_files="pairs", eval_files="pairs"):
    trainer.run_fn(
        SimpleNamespace(
            custom_config=settings(*overrides),
            transform_graph_path=str(transformed / "graph"),
            train_files=[str(transformed / f"{train_files}*")],
            eval_files=[str(transformed / f"{eval_files}*")],
            serving_model_dir=str(target),
            base_model=None,
            hyperparameters=None,
        )
    )
    checkpoint = tf.train.load_checkpoint(str(target / "variables" / "variables"))
    return {
        name: checkpoint.get_tensor(name)
        for name in checkpoint.get_variable_to_shape_map()
        if name.startswith("_model")
    }, checkpoint


@pytest.fixture(scope="module")
def trained(transformed, tmp_path_factory):
    target = tmp_path_factory.mktemp("model")
    return target, *train(transformed, target)


def test_the_same_seed_gives_the_same_weights(transformed, trained, tmp_path):
    _, weights, _ = trained
    again, _ = train(transformed, tmp_path)
    assert weights.keys() == again.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(values, again[name], err_msg=name)


def test_nothing_of_the_training_is_saved(trained):
    _, weights, checkpoint = trained
    assert weights
    names = " ".join(checkpoint.get_variable_to_shape_map()).lower()
    for forbidden in ("optimizer", "adam", "augment", "learning_rate", "_auc", "_loss"):
        assert forbidden not in names


def test_the_exported_model_answers(trained):
    served = tf.saved_model.load(str(trained[0])).signatures["serving_default"]
    row = raw(0)
    answer = served(
        image=tf.constant(row[features.IMAGE]), caption=tf.constant(row[features.CAPTION])
    )[features.PROBABILITY].numpy()
    assert answer.shape == (1,)
    assert 0 < answer[0] < 1


@pytest.mark.parametrize("missing", ["train_files", "eval_files"])
def test_too_few_pairs_are_told_in_one_line(transformed, tmp_path, missing):
    with pytest.raises(DexmatchError, match="too few") as raised:
        train(transformed, tmp_path, **{missing: "none"})
    assert "\n" not in str(raised.value)


def test_a_model_goes_on_from_the_last_blessed_one(transformed, trained, tmp_path):
    """At a learning rate of nearly nothing it answers as that one does."""
    trainer.run_fn(
        SimpleNamespace(
            custom_config=settings(
                "model.weights=last_blessed",
                "trainer.learning_rate=1e-12",
                "trainer.epochs=1",
                "trainer.seed=99",
                "model.batch_norm_momentum=0.9999999",
            ),
            transform_graph_path=str(transformed / "graph"),
            train_files=[str(transformed / "pairs*")],
            eval_files=[str(transformed / "pairs*")],
            serving_model_dir=str(tmp_path),
            base_model=str(trained[0]),
            hyperparameters=None,
        )
    )
    rows = [raw(number) for number in range(6)]
    asked = {
        name: tf.constant([row[name][0] for row in rows])
        for name in (features.IMAGE, features.CAPTION)
    }
    answers = [
        tf.saved_model.load(str(place)).signatures["serving_default"](**asked)[features.PROBABILITY]
        for place in (trained[0], tmp_path)
    ]
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-3)
    assert len(set(answers[0].numpy().tolist())) > 1

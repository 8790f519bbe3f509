"""Training and serving must agree, bit for bit, with a function of the user's too."""

import tempfile
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from core import features
from core.config import CaptionConfig, ImageConfig, ModelConfig
from modules import transform
from modules.export import signatures
from modules.preprocessing import attributes, captions, user_normalization

CONFIG = {
    "image": ImageConfig(size=32).model_dump(),
    "caption": CaptionConfig(
        max_tokens=6,
        vocabulary_size=50,
        min_count=1,
        normalize="shop.preprocessing.normalize",
    ).model_dump(),
    "attributes": ["color", "stage"],
}
CAPTIONS = (
    "A red bird!",
    "a BLUE fish",
    "une créature bleue",
    unicodedata.normalize("NFD", "빨간 새, une créature"),
    "red, red, red",
    "a GREY fish",
    "a gray fish",
)


@pytest.fixture(scope="module", autouse=True)
def users_code(test_module, tmp_path_factory):
    """The functions of `dexmatch init --template`; grey and gray are one word to them."""
    with test_module("modules/user_code.py").written(tmp_path_factory.mktemp("project")):
        yield


@pytest.fixture(scope="module")
def transformed(pictures, users_code, tmp_path_factory):
    """Raw rows, transformed rows, folder of the graph; the last row has a bad picture."""
    images = [*pictures.values(), b"broken"]
    rows = [
        {
            features.IMAGE: [image],
            features.CAPTION: [CAPTIONS[index % len(CAPTIONS)].encode()],
            features.GROUP: [f"g{index}".encode()],
            features.LABEL: [1],
            # From none to three.
            features.HARD_CAPTION: [b"a red fish", b"new words", b""][: index % 4],
            "color": [[b"red"], [b"blue"], []][index % 3],
            "stage": [index % 2],
        }
        for index, image in enumerate(images)
    ]
    spec = {
        features.IMAGE: tf.io.FixedLenFeature([1], tf.string),
        features.CAPTION: tf.io.VarLenFeature(tf.string),
        features.GROUP: tf.io.FixedLenFeature([1], tf.string),
        features.LABEL: tf.io.FixedLenFeature([1], tf.int64),
        features.HARD_CAPTION: tf.io.VarLenFeature(tf.string),
        "color": tf.io.VarLenFeature(tf.string),
        "stage": tf.io.FixedLenFeature([1], tf.int64),
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    folder = str(tmp_path_factory.mktemp("transform"))
    with tft_beam.Context(temp_dir=tempfile.mkdtemp()):
        (data, _), transform_fn = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: transform.preprocessing_fn(inputs, CONFIG)
        )
        _ = transform_fn | tft_beam.WriteTransformFn(folder)
    return rows, data, folder


@pytest.fixture(scope="module")
def serving(transformed, tiny_backbone):
    from modules.network import model

    vocabulary = tft.TFTransformOutput(transformed[2]).vocabulary_file_by_name(captions.VOCABULARY)
    settings = ModelConfig(
        feature_levels=("top",), embedding_dim=8, recurrent_units=8, word_dim=8, hidden_units=8
    )
    normalize = user_normalization.function(CONFIG["caption"]["normalize"])
    built = model.build(settings, 32, 6, 60)
    return signatures.ServingModel(built, vocabulary, 32, 6, 8, normalize)


def test_pictures_agree_bit_for_bit(transformed, serving, pictures):
    rows, data, _ = transformed
    served, is_valid = serving.pixels(tf.constant([row[features.IMAGE][0] for row in rows]))
    for name, row, pixels, valid in zip(
        [*pictures, "broken"], data, served.numpy(), is_valid.numpy(), strict=True
    ):
        stored = tf.io.decode_png(row[features.PIXELS]).numpy()
        np.testing.assert_array_equal(stored, pixels, err_msg=name)
        assert row[features.IS_VALID] == valid == (name != "broken")


def test_captions_agree_bit_for_bit(transformed, serving):
    rows, data, _ = transformed
    served = serving.tokens(tf.constant([row[features.CAPTION][0] for row in rows]))
    for row, tokens in zip(data, served.numpy(), strict=True):
        np.testing.assert_array_equal(row[features.TOKENS], tokens)
    assert {row[features.TOKENS].dtype for row in data} == {np.dtype(np.int64)}


def test_words_that_the_users_function_writes_alike_have_the_same_ids(transformed):
    rows, data, _ = transformed
    found = {
        raw[features.CAPTION][0]: row[features.TOKENS].tolist()
        for raw, row in zip(rows, data, strict=True)
    }
    assert found[b"a GREY fish"] == found[b"a gray fish"] != found[b"a BLUE fish"]


def test_hard_captions_are_tokenised_one_after_another(transformed, serving):
    rows, data, _ = transformed
    for raw, row in zip(rows, data, strict=True):
        hard = raw[features.HARD_CAPTION]
        found = np.asarray(row[features.HARD_TOKENS]).reshape(-1, 6)
        assert len(found) == len(hard)
        if hard:
            np.testing.assert_array_equal(found, serving.tokens(tf.constant(hard)).numpy())


def test_words_of_hard_captions_alone_are_unknown(transformed):
    """The vocabulary is made of the captions; "new" stands in hard captions only."""
    vocabulary = tft.TFTransformOutput(transformed[2]).vocabulary_by_name(captions.VOCABULARY)
    assert b"red" in vocabulary
    assert b"new" not in vocabulary


def test_groups_are_told_apart(transformed):
    hashes = [int(row[features.GROUP_HASH]) for row in transformed[1]]
    assert len(set(hashes)) == len(hashes)


def test_values_of_attributes_become_ids_of_any_type_and_missing_ones_are_unknown(transformed):
    rows, data, folder = transformed
    output = tft.TFTransformOutput(folder)
    values = [output.vocabulary_by_name(attributes.vocabulary_name(index)) for index in (0, 1)]
    assert sorted(values[0]) == [b"blue", b"red"]
    assert sorted(values[1]) == [b"0", b"1"]
    for raw, row in zip(rows, data, strict=True):
        color, stage = row[features.ATTRIBUTES].tolist()
        assert [values[0][color]] == raw["color"] if raw["color"] else color == attributes.UNKNOWN
        assert values[1][stage].decode() == str(raw["stage"][0])

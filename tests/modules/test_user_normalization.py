"""`caption.normalize`: what it must be, and that training and serving go through the same."""

import tempfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from core import features
from core.config import CaptionConfig, ImageConfig
from core.errors import DexmatchError
from core.user_functions import importable
from modules import transform
from modules.preprocessing import captions, user_normalization
from monitoring.traffic import Vocabulary

NAME = "shop.preprocessing.normalize"
CAPTIONS = ("A GREY bird", "a gray bird", "Colourful, greyish", "", "ＧＲＥＹ été", "a fish")


@pytest.fixture(scope="module")
def code(test_module):
    return test_module("modules/user_code.py")


@pytest.fixture
def template(code, tmp_path):
    with code.written(tmp_path / "project"):
        yield


def test_the_templates_keeps_the_contract(template):
    user_normalization.check(NAME)
    user_normalization.check("")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return tf.strings.length(captions)", "must return a string tensor .N., and returns"),
        ("return 'a bird'", "must return a string tensor .N., and returns "),
        ("return tf.reshape(captions, [-1, 1])", "must return a string tensor .N., and returns"),
        ("return tf.concat([captions, ['x']], 0)", "of 6 captions it makes 7"),
        ("return captions[::-1]", "must depend on nothing but that caption"),
        (
            "return captions + tf.as_string(tf.random.uniform(tf.shape(captions)))",
            "must depend on nothing but that caption",
        ),
        ("return captions + ' bird'", "of a caption without a word it makes one with words"),
        (
            "return tf.numpy_function(lambda each: each, [captions], tf.string)",
            "must return a string tensor",
        ),
        (
            "return tf.ensure_shape(tf.numpy_function(lambda x: x, [captions], tf.string), [None])",
            r"it runs Python \(PyFunc\), which a model server does not have",
        ),
        (
            "return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(['a'], ['b']), "
            "'').lookup(captions)",
            "holds a table or a variable",
        ),
        ("return captions if captions[0] == 'a' else captions", "preprocessing.py, line 3: "),
        ("return captions + 1", r"preprocessing\.py, line 3: "),
        ("return tf.strings.regex_replace(captions, '(', '')", "preprocessing.py, line 3|normal"),
    ],
)
def test_what_does_not_keep_it_is_told_in_one_line(tmp_path, body, told):
    package = tmp_path / "broken"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "preprocessing.py").write_text(
        f"import tensorflow as tf\ndef normalize(captions):\n    {body}\n"
    )
    name = "broken.preprocessing.normalize"
    with importable(tmp_path, {user_normalization.KEY: name}):
        with pytest.raises(DexmatchError, match=f"^caption.normalize.*{told}") as raised:
            user_normalization.check(name)
    assert "\n" not in str(raised.value)


def test_training_and_serving_agree_bit_for_bit(template, pictures):
    """And words that the function writes alike have the same ids, in hard captions too."""
    config = {
        "image": ImageConfig(size=32).model_dump(),
        "caption": CaptionConfig(max_tokens=4, min_count=1, normalize=NAME).model_dump(),
        "attributes": [],
    }
    rows = [
        {
            features.IMAGE: [pictures["rgb.png"]],
            features.CAPTION: [text.encode()],
            features.GROUP: [b"g"],
            features.LABEL: [1],
            features.HARD_CAPTION: [CAPTIONS[0].encode()],
        }
        for text in CAPTIONS
    ]
    spec = {
        name: tf.io.FixedLenFeature([1], tf.int64 if name == features.LABEL else tf.string)
        for name in rows[0]
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    with tempfile.TemporaryDirectory() as folder:
        with tft_beam.Context(temp_dir=tempfile.mkdtemp()):
            (data, _), transform_fn = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(
                lambda inputs: transform.preprocessing_fn(inputs, config)
            )
            _ = transform_fn | tft_beam.WriteTransformFn(folder)
        vocabulary = tft.TFTransformOutput(folder).vocabulary_file_by_name(captions.VOCABULARY)
        table = captions.vocabulary_table(vocabulary)
        served = captions.token_ids(
            tf.constant(CAPTIONS), table.lookup, 4, user_normalization.function(NAME)
        ).numpy()
    for row, tokens in zip(data, served, strict=True):
        np.testing.assert_array_equal(row[features.TOKENS], tokens)
        np.testing.assert_array_equal(row[features.HARD_TOKENS], served[0])
    np.testing.assert_array_equal(served[0], served[1])
    assert served[0][1] != served[5][1]


def test_it_is_kept_beside_a_saved_model_and_found_without_its_code(code, tmp_path):
    assert user_normalization.saved_with(tmp_path) is None
    user_normalization.save("", str(tmp_path / "model [v2]"))
    assert not (tmp_path / "model [v2]").exists()
    with code.written(tmp_path / "project"):
        user_normalization.save(NAME, str(tmp_path / "model"))
    (tmp_path / "model").rename(tmp_path / "model [v2]")
    normalize = user_normalization.saved_with(tmp_path / "model [v2]")
    found = captions.words(tf.constant(CAPTIONS), normalize).to_list()
    assert found[:3] == [[b"a", b"gray", b"bird"]] * 2 + [[b"colorful", b"gray"]]
    # Whoever watches the traffic counts the words that the model reads.
    (tmp_path / "model [v2]" / "assets").mkdir()
    (tmp_path / "model [v2]" / "assets" / captions.VOCABULARY).write_text("gray\nred\n")
    vocabulary = Vocabulary(tmp_path / "model [v2]")
    assert vocabulary.count([b"grey", b"red bird", b"gray"]) == (3, 1, 0)

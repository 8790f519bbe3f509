"""Features of a frozen backbone: what is computed, what is kept, and what is read again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from core import features
from core.config import AugmentConfig, Config, TrainerConfig
from modules.training import inputs
from modules.training.frozen_features import FrozenFeatures
from modules.training.inputs import Splits
from modules.training.setup import TrainingSetup

VIEWS = 4
MIRRORED = AugmentConfig(flip=True, rotation=0, zoom=0, shift=0)
PICTURES = np.random.default_rng(0).integers(0, 255, (7, 8, 8, 3)).astype(np.uint8)


@pytest.fixture
def network():
    """Tells a picture from its mirror image."""
    pixels = keras.Input((8, 8, 3))
    return keras.Model(pixels, keras.layers.Reshape((-1,))(pixels[:, :2, :2] / 255.0))


@pytest.fixture
def pictures():
    rows = tf.data.Dataset.from_tensor_slices(
        {
            features.PIXELS: [tf.io.encode_png(picture).numpy() for picture in PICTURES],
            features.LABEL: tf.range(7),
        }
    )
    return Splits(train=rows.take(5), val=rows.skip(5))


def frozen(network, folder):
    config = Config(trainer=TrainerConfig(frozen_views=VIEWS), augment=MIRRORED)
    setup = TrainingSetup(config, tf.distribute.get_strategy(), "", [], {}, None)
    return FrozenFeatures(network, setup, str(folder))


def views(rows):
    return np.stack([row[features.IMAGE_FEATURES] for row in rows.as_numpy_iterator()])


def test_features_are_those_of_the_pictures_and_of_views_of_them(network, pictures, tmp_path):
    cache = frozen(network, tmp_path)
    rows = cache.rows(pictures)
    cache.compute(pictures, batch_size=2)
    made = list(rows.train)
    assert [int(row[features.LABEL]) for row in made] == list(range(5))
    assert features.PIXELS not in made[0]
    plain = network(PICTURES.astype(np.float32)).numpy()
    mirrored = network(PICTURES[:, :, ::-1].astype(np.float32)).numpy()
    found = views(rows.train)
    assert found.shape == (5, VIEWS, 12)
    np.testing.assert_allclose(found[:, 0], plain[:5], atol=1e-6)
    is_plain = np.isclose(found, plain[:5, None], atol=1e-6).all(axis=-1)
    is_mirrored = np.isclose(found, mirrored[:5, None], atol=1e-6).all(axis=-1)
    assert (is_plain | is_mirrored).all()
    assert is_mirrored.any()
    np.testing.assert_allclose(views(rows.val), plain[5:, None], atol=1e-6)
    batch = next(iter(inputs.validation_pairs(rows.val.map(with_tokens), 2)))[0]
    assert batch[features.IMAGE_FEATURES].shape == (2, 12)


def with_tokens(row):
    return {**row, features.TOKENS: tf.zeros([4], tf.int64)}


def test_a_run_after_a_kill_computes_only_what_is_missing(network, pictures, tmp_path):
    first = frozen(network, tmp_path)
    first.compute(pictures, batch_size=2)
    before = views(first.rows(pictures).train)
    (kept,) = tmp_path.glob("train-*")
    (val,) = tmp_path.glob("val-*")
    val.rename(f"{val}.part")  # As a kill leaves it.
    calls = []

    class Counted(keras.Model):
        def call(self, pixels, training=None):
            calls.append(1)
            return network(pixels)

    pixels = keras.Input((8, 8, 3))
    counted = keras.Model(pixels, Counted()(pixels))
    calls.clear()
    written = kept.stat().st_mtime_ns
    again = frozen(counted, tmp_path)
    again.compute(pictures, batch_size=2)
    assert len(calls) == 1  # Traced for the validation split alone.
    assert kept.stat().st_mtime_ns == written
    np.testing.assert_array_equal(views(again.rows(pictures).train), before)
    assert not list(tmp_path.glob("*.part"))
    anew = frozen(network, tmp_path / "anew")
    anew.compute(pictures, batch_size=2)
    np.testing.assert_array_equal(views(anew.rows(pictures).train), before)


def test_rows_that_are_left_out_leave_their_features_out(network, pictures, tmp_path):
    cache = frozen(network, tmp_path)
    cache.compute(pictures, batch_size=2)
    rows = cache.rows(pictures).filter_train(lambda row: row[features.LABEL] % 2 == 0)
    plain = network(PICTURES.astype(np.float32)).numpy()
    np.testing.assert_allclose(views(rows.train)[:, 0], plain[[0, 2, 4]], atol=1e-6)

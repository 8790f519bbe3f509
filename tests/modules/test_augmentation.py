import numpy as np
import pytest
import tensorflow as tf

from core.config import AugmentConfig
from modules.training.augmentation import build_augmentation


@pytest.mark.parametrize("color", [(255, 0, 0), (20, 130, 60), (0, 0, 0)])
def test_augmentation_leaves_colours_alone(color):
    augment = build_augmentation(AugmentConfig(flip=True, rotation=0.1, zoom=0.2), seed=3)
    pixels = tf.constant(np.full((6, 32, 32, 3), color, np.float32))
    turned = augment(pixels, training=True).numpy()
    is_color = np.abs(turned - np.float32(color)).max(axis=-1) < 1
    # What comes in at the rim is white, and on its edge a mixture with white: no other hue.
    share = (turned - np.float32(color)) / np.maximum(255 - np.float32(color), 1)
    on_the_way = np.ptp(share[..., np.float32(color) < 255], axis=-1) < 0.02
    assert (is_color | on_the_way).all()
    assert is_color[:, 12:20, 12:20].all()
    assert (turned == 255).all(axis=-1).any()


def test_augmentation_changes_pictures_only_in_training():
    augment = build_augmentation(AugmentConfig(), seed=3)
    pixels = tf.random.stateless_uniform([4, 32, 32, 3], [1, 2], maxval=255)
    np.testing.assert_array_equal(augment(pixels, training=False), pixels)
    assert np.abs(augment(pixels, training=True) - pixels).mean() > 1


def test_no_augmentation_at_all():
    augment = build_augmentation(AugmentConfig(flip=False, rotation=0, zoom=0, shift=0), seed=3)
    pixels = tf.ones([1, 32, 32, 3])
    np.testing.assert_array_equal(augment(pixels, training=True), pixels)

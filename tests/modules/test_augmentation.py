import numpy as np
import pytest
import tensorflow as tf

from core.config import AugmentConfig
from modules.training.augmentation import Augmentation

NOTHING = {"flip": False, "rotation": 0, "zoom": 0, "shift": 0}
SIZE = 64
CENTRE = (SIZE - 1) / 2
SPOT = (40, 22)
"""Where the spot of `spotted` is, column and row: no mirror's or turn's fixed point."""


def augmented(pixels, seed=3, **settings):
    augment = Augmentation(AugmentConfig(**{**NOTHING, **settings}), seed)
    return augment(tf.constant(pixels), training=True).numpy()


def spotted(count=200):
    """White pictures with a black spot of 3×3 pixels."""
    pixels = np.full((count, SIZE, SIZE, 3), 255, np.float32)
    pixels[:, SPOT[1] - 1 : SPOT[1] + 2, SPOT[0] - 1 : SPOT[0] + 2] = 0
    return pixels


def spots(pixels):
    """Where they are, from the centre of the picture, float [N, 2], and how large."""
    black = 255 - pixels.mean(axis=-1)
    amounts = black.sum(axis=(1, 2))
    places = np.arange(SIZE) - CENTRE
    x, y = (np.einsum("nyx,x->n", black, places), np.einsum("nyx,y->n", black, places))
    return np.stack([x, y], axis=1) / amounts[:, None], amounts / (9 * 255)


FIRST = np.subtract(SPOT, CENTRE)


@pytest.mark.parametrize("color", [(255, 0, 0), (20, 130, 60), (0, 0, 0)])
def test_augmentation_leaves_colours_alone(color):
    turned = augmented(
        np.full((6, 32, 32, 3), color, np.float32), flip=True, rotation=0.1, zoom=0.2
    )
    is_color = np.abs(turned - np.float32(color)).max(axis=-1) < 1
    # What comes in at the rim is white, and on its edge a mixture with white: no other hue.
    share = (turned - np.float32(color)) / np.maximum(255 - np.float32(color), 1)
    on_the_way = np.ptp(share[..., np.float32(color) < 255], axis=-1) < 0.02
    assert (is_color | on_the_way).all()
    assert is_color[:, 12:20, 12:20].all()
    assert (turned == 255).all(axis=-1).any()


def test_half_of_the_pictures_are_mirrored_to_the_pixel():
    pixels = np.random.default_rng(1).integers(0, 256, (200, 16, 16, 3)).astype(np.float32)
    turned = augmented(pixels, flip=True)
    is_same = (turned == pixels).all(axis=(1, 2, 3))
    is_mirrored = (turned == pixels[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (is_same ^ is_mirrored).all()
    assert 70 < is_mirrored.sum() < 130


def test_a_turn_keeps_the_distance_from_the_centre():
    places, amounts = spots(augmented(spotted(), rotation=0.1))
    np.testing.assert_allclose(np.hypot(*places.T), np.hypot(*FIRST), atol=0.1)
    np.testing.assert_allclose(amounts, 1, atol=0.3)
    turns = np.angle((places @ [1, 1j]) / (FIRST @ [1, 1j])) / (2 * np.pi)
    assert -0.1 < turns.min() < -0.09 and 0.09 < turns.max() < 0.1


def test_a_zoom_keeps_the_direction():
    places, amounts = spots(augmented(spotted(), zoom=0.3))
    factors = places @ FIRST / (FIRST @ FIRST)
    np.testing.assert_allclose(places, factors[:, None] * FIRST, atol=0.15)
    assert 1 / 1.3 < factors.min() < 1 / 1.25 and 1 / 0.75 < factors.max() < 1 / 0.7
    np.testing.assert_allclose(amounts, factors**2, rtol=0.3)


def test_a_shift_is_a_share_of_the_picture_each_way():
    places, _ = spots(augmented(spotted(), shift=0.25))
    moved = (places - FIRST) / SIZE
    assert (np.abs(moved) < 0.251).all()
    assert (moved.max(axis=0) > 0.23).all() and (moved.min(axis=0) < -0.23).all()
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.2


def test_pictures_are_drawn_for_anew_and_by_the_seed():
    augment = Augmentation(AugmentConfig(), 3)
    first, second = (augment(tf.constant(spotted(4)), training=True).numpy() for _ in range(2))
    assert (first != second).any()
    settings = AugmentConfig().model_dump()
    np.testing.assert_array_equal(augmented(spotted(4), 3, **settings), first)
    assert (augmented(spotted(4), 4, **settings) != first).any()


def test_augmentation_changes_pictures_only_in_training():
    augment = Augmentation(AugmentConfig(), seed=3)
    pixels = tf.random.stateless_uniform([4, 32, 32, 3], [1, 2], maxval=255)
    np.testing.assert_array_equal(augment(pixels, training=False), pixels)
    assert np.abs(augment(pixels, training=True) - pixels).mean() > 1


def test_no_augmentation_at_all():
    pixels = np.ones([1, 32, 32, 3], np.float32)
    np.testing.assert_array_equal(augmented(pixels), pixels)

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from modules.preprocessing import images

SIZE = 32


def fitted(*encoded: bytes) -> tuple[np.ndarray, np.ndarray]:
    pixels, is_valid = images.pixels_from_bytes(tf.constant(list(encoded), tf.string), SIZE)
    return pixels.numpy(), is_valid.numpy()


def on_white(encoded: bytes) -> Image.Image:
    """Pillow's own account of the first frame, laid on white."""
    image = Image.open(io.BytesIO(encoded)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


@pytest.mark.parametrize(
    "name",
    [
        "rgb.png",
        "rgba.png",
        "grey.png",
        "grey_alpha.png",
        "palette.png",
        "palette_alpha.png",
        "tall.png",
        "rgb.jpg",
        "grey.jpg",
        "rgb.bmp",
        "first_frame.gif",
    ],
)
def test_every_kind_of_picture_looks_as_pillow_sees_it(pictures, name):
    (pixels,), (is_valid,) = fitted(pictures[name])
    seen = on_white(pictures[name])
    scale = SIZE / max(seen.size)
    small = seen.resize([round(side * scale) for side in seen.size], Image.Resampling.BILINEAR)
    expected = Image.new("RGB", (SIZE, SIZE), "white")
    expected.paste(small, ((SIZE - small.width) // 2, (SIZE - small.height) // 2))
    assert is_valid
    assert pixels.dtype == np.uint8
    # Two resamplers and two JPEG decoders may differ a little, mostly at hard edges.
    difference = np.abs(pixels.astype(int) - np.asarray(expected).astype(int))
    assert difference.mean() < 3
    assert np.percentile(difference, 95) < 16


def test_the_aspect_ratio_is_kept_and_the_rest_is_white(pictures):
    (pixels,), _ = fitted(pictures["tall.png"])  # 9 wide, 50 high.
    is_white = (pixels == 255).all(axis=(0, 2))
    assert is_white[:12].all()
    assert is_white[-12:].all()
    assert not is_white[15:17].any()


def test_an_extremely_thin_picture_still_shows(pictures):
    (pixels,), (is_valid,) = fitted(pictures["thin.png"])
    assert is_valid
    assert (pixels != 255).any()


@pytest.mark.parametrize(("plain", "blended"), [("RGB", "RGBA"), ("RGB", "L"), ("RGB", "LA")])
def test_what_need_not_be_blended_is_the_same_to_the_bit(plain, blended):
    dice = np.random.default_rng(1)
    grey = Image.fromarray(dice.integers(0, 256, (45, 60), np.uint8))
    colours = Image.fromarray(dice.integers(0, 256, (45, 60, 3), np.uint8))
    image = grey if blended.startswith("L") else colours

    def encoded(mode: str) -> bytes:
        file = io.BytesIO()
        image.convert(mode).save(file, "PNG")
        return file.getvalue()

    (one, other), is_valid = fitted(encoded(plain), encoded(blended))
    assert is_valid.all()
    assert (one == other).all()


def test_see_through_pixels_become_white_and_not_black():
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(buffer, "PNG")
    (pixels,), _ = fitted(buffer.getvalue())
    assert (pixels == 255).all()


@pytest.mark.parametrize("bad", [b"", b"no picture", "truncated"])
def test_a_broken_picture_costs_its_own_row_only(pictures, bad):
    good = pictures["rgb.png"]
    broken = good[:60] if bad == "truncated" else bad
    pixels, is_valid = fitted(good, broken, pictures["rgba.png"])
    alone, _ = fitted(good)
    other, _ = fitted(pictures["rgba.png"])
    assert is_valid.tolist() == [True, False, True]
    np.testing.assert_array_equal(pixels[0], alone[0])
    np.testing.assert_array_equal(pixels[2], other[0])
    assert (pixels[1] == 255).all()


def test_no_pictures_at_all():
    pixels, is_valid = fitted()
    assert pixels.shape == (0, SIZE, SIZE, 3)
    assert is_valid.shape == (0,)


def test_the_order_is_kept_in_a_large_batch(pictures):
    encoded = list(pictures.values()) * 5
    pixels, _ = fitted(*encoded)
    for index, each in enumerate(encoded[: len(pictures)]):
        alone, _ = fitted(each)
        for repeat in range(index, len(encoded), len(pictures)):
            np.testing.assert_array_equal(pixels[repeat], alone[0])

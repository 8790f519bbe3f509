import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.picture_sizes import PictureSize, UnknownSize, picture_size

KINDS = [
    "rgb.png",
    "rgba.png",
    "palette.png",
    "tall.png",
    "thin.png",
    "rgb.jpg",
    "grey.jpg",
    "rgb.bmp",
    "rgb.webp",
]


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def blank(width, height, mode="RGB"):
    return Image.new(mode, (width, height))


def chunk(kind, content, checksum=None):
    checksum = zlib.crc32(kind + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_chunk(png, made):
    """A PNG with one more chunk before its pixels."""
    place = png.index(b"IDAT") - 4
    return png[:place] + made + png[place:]


def gif(*frames, screen=(64, 64)):
    """A GIF of frames without content, whatever its screen."""
    made = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
    for width, height in frames:
        made += b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x01\x05\x00"
    return made + b"\x3b"


def decoded(content):
    """Height, width and channels that TensorFlow makes of it."""
    return tf.io.decode_image(content, expand_animations=False).shape


@pytest.mark.parametrize("name", KINDS)
def test_the_size_is_what_tensorflow_decodes(pictures, name):
    height, width, _ = decoded(pictures[name])
    assert picture_size(pictures[name]) == PictureSize(width, height)


@pytest.mark.parametrize(
    "content",
    [
        encoded(blank(30, 20), "JPEG", progressive=True),
        encoded(blank(30, 20), "WEBP", quality=50),
        encoded(blank(30, 20, "RGBA"), "WEBP", quality=50),
        encoded(blank(30, 20, "RGBA"), "WEBP", lossless=True, exif=b"Exif\0\0II*\0"),
        # What Pillow refuses: a text of more than a megabyte, and a wrong checksum.
        with_chunk(
            encoded(blank(30, 20), "PNG"),
            chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 << 20))),
        ),
        with_chunk(encoded(blank(30, 20), "PNG"), chunk(b"tEXt", b"a\0b", checksum=1)),
    ],
    ids=["progressive", "lossy", "with alpha", "with EXIF", "zTXt", "tEXt"],
)
def test_the_size_is_told_of_less_common_files(content):
    assert decoded(content)[:2] == (20, 30)
    assert picture_size(content) == PictureSize(30, 20)


def test_a_bmp_from_the_top_downwards():
    content = bytearray(encoded(blank(30, 20), "BMP"))
    content[22:26] = struct.pack("<i", -20)
    assert decoded(bytes(content))[:2] == (20, 30)
    assert picture_size(bytes(content)) == PictureSize(30, 20)


def test_a_thumbnail_in_a_jpeg_is_not_its_size():
    thumbnail = encoded(blank(8, 8), "JPEG")
    content = encoded(blank(30, 20), "JPEG")
    segment = b"Exif\0\0" + thumbnail
    content = (
        content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:]
    )
    assert decoded(content)[:2] == (20, 30)
    assert picture_size(content) == PictureSize(30, 20)


def test_frames_of_a_gif_may_be_larger_than_its_screen():
    assert picture_size(gif((64, 64), (20_000, 10), (10, 5_000))).pixels == 3 * 20_000 * 5_000
    large = encoded(blank(200, 100, "L"), "GIF")
    large = large[:6] + struct.pack("<HH", 30, 20) + large[10:]
    assert picture_size(large) == PictureSize(200, 100)
    # TensorFlow does make room for all of it.
    assert decoded(large)[:2] == (100, 200)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_an_animation_counts_with_all_its_frames(kind):
    frames = [Image.fromarray(np.full((20, 30, 3), 40 * n, np.uint8)) for n in range(5)]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert picture_size(content) == PictureSize(30, 20, 5)
    assert picture_size(content).pixels == 3000


@pytest.mark.parametrize("content", [b"", b"a text", b"II*\0", b"RIFF\0\0\0\0AVI ", b"GIF7"])
def test_what_tensorflow_takes_for_no_picture_has_no_size(content):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Unknown image|empty"):
        tf.io.decode_image(content)
    assert picture_size(content) is None


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"a\0b"),
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIHDR\0\0",
        b"\xff\xd8\xff",
        b"\xff\xd8" + b"\xff" * 10_000,
        b"\xff\xd8" + b"\xff\xfe\0\x02" * 10_000,
        b"\xff\xd8\xff\xda" + bytes(100),
        b"BM" + bytes(10),
        b"GIF89a",
        gif(),
        b"GIF89a" + bytes(7) + b"\x21\xfe" + b"\x01a" * 100_000,
        b"RIFF\0\0\0\0WEBPVP8 " + bytes(20),
        b"RIFF\0\0\0\0WEBPALPH" + bytes(20),
        b"\xff\x0a" + bytes(20),
        b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20),
    ],
)
def test_what_begins_as_a_picture_and_tells_no_size_is_told_apart(content):
    with pytest.raises(UnknownSize):
        picture_size(content)


@given(
    st.sampled_from([b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF1234WEBPVP8X", b"\x89PNG\r\n\x1a\n"]),
    st.binary(max_size=300),
)
def test_whatever_follows_a_beginning_has_a_size_or_none(start, rest):
    try:
        found = picture_size(start + rest)
    except UnknownSize:
        return
    assert found.pixels >= 0

"""Every stored picture must decode in TensorFlow to what Pillow sees."""

import io
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from core.limits import MAX_PIXELS
from data import pictures, tensorflow_decoder
from data.records import Reason, Rejected
from serving.server import flags

REPOSITORY = Path(__file__).parents[2]
JPEG_TOLERANCE = 3
"""Mean difference of a colour value: the two programs round differently while decoding."""

ROTATED = Image.Exif()
ROTATED[0x0112] = 6

KEPT = {
    "png grey": {"mode": "L"},
    "png rgb": {"mode": "RGB"},
    "png rgba": {"mode": "RGBA"},
    "png palette": {"mode": "P"},
    "jpeg grey": {"kind": "JPEG", "mode": "L"},
    "jpeg rgb": {"kind": "JPEG", "mode": "RGB"},
    "jpeg progressive": {"kind": "JPEG", "mode": "RGB", "progressive": True},
}
REENCODED = {
    "png 1 bit": {"mode": "1"},
    "png grey with alpha": {"mode": "LA"},
    "png 16 bit": {"mode": "I;16"},
    "png see-through colour": {"mode": "RGB", "transparency": (1, 2, 3)},
    "png rotated": {"exif": ROTATED},
    "jpeg cmyk": {"kind": "JPEG", "mode": "CMYK"},
    "jpeg rotated": {"kind": "JPEG", "exif": ROTATED},
    "webp": {"kind": "WEBP", "mode": "RGBA", "lossless": True},
    "bmp": {"kind": "BMP"},
    "tiff": {"kind": "TIFF"},
    "gif": {"kind": "GIF", "mode": "P"},
}


def as_tensorflow_sees(content: bytes) -> np.ndarray:
    return tf.io.decode_image(content, expand_animations=False).numpy().astype(int)


def as_pillow_sees(content: bytes, channels: int) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if image.mode == "I;16":
        return (np.asarray(image).astype(int) >> 8)[..., np.newaxis]
    pixels = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])).astype(int)
    return pixels.reshape(*pixels.shape[:2], channels)


@pytest.mark.parametrize("name", [*KEPT, *REENCODED])
def test_tensorflow_sees_what_pillow_sees(name, encode):
    content = encode(**(KEPT | REENCODED)[name])
    stored = pictures.normalise(content)
    seen = as_tensorflow_sees(stored.content)
    expected = as_pillow_sees(content, seen.shape[-1])
    assert seen.shape == expected.shape
    assert seen.shape[:2] == (stored.height, stored.width)
    tolerance = JPEG_TOLERANCE if stored.content.startswith(b"\xff\xd8") else 0
    assert np.abs(seen - expected).mean() <= tolerance


@pytest.mark.parametrize("name", KEPT)
def test_keeps_what_tensorflow_reads_by_itself(name, encode):
    content = encode(**KEPT[name])
    assert pictures.normalise(content).content == content


@pytest.mark.parametrize("name", REENCODED)
def test_reencodes_the_rest_the_same_every_time(name, encode):
    content = encode(**REENCODED[name])
    stored = pictures.normalise(content).content
    assert stored != content
    assert stored.startswith(b"\xff\xd8" if name == "jpeg rotated" else b"\x89PNG")
    assert stored == pictures.normalise(content).content


def test_turns_a_picture_upright(encode):
    upright = pictures.normalise(encode("JPEG", size=(40, 20), exif=ROTATED))
    assert (upright.height, upright.width) == (40, 20)


def test_takes_the_first_frame_of_an_animation():
    red, blue = (Image.new("RGB", (10, 10), colour) for colour in ("red", "blue"))
    file = io.BytesIO()
    red.save(file, format="GIF", save_all=True, append_images=[blue], duration=100)
    stored = pictures.normalise(file.getvalue())
    assert as_tensorflow_sees(stored.content)[0, 0].tolist() == [255, 0, 0]


def test_mends_a_png_without_its_end(encode):
    stored = pictures.normalise(encode()[:-12])
    assert as_tensorflow_sees(stored.content).shape == (20, 33, 3)


def bomb() -> bytes:
    """A PNG of a few bytes whose header promises 60,000 x 60,000 pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def moderately_large() -> bytes:
    """Above our limit, below the one of Pillow."""
    file = io.BytesIO()
    Image.new("1", (MAX_PIXELS // 1000 + 1, 1000)).save(file, format="PNG")
    return file.getvalue()


def truncated_jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, format="JPEG")
    return file.getvalue()[:-100]


def float_tiff() -> bytes:
    file = io.BytesIO()
    Image.new("F", (20, 20)).save(file, format="TIFF")
    return file.getvalue()


def tiny() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Reason.NOT_AN_IMAGE),
        (b"hello", Reason.NOT_AN_IMAGE),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", Reason.NOT_AN_IMAGE),
        pytest.param(bomb(), Reason.TOO_LARGE, id="bomb"),
        (moderately_large(), Reason.TOO_LARGE),
        (truncated_jpeg(), Reason.CORRUPT_IMAGE),
        (float_tiff(), Reason.UNSUPPORTED_PIXELS),
        (tiny(), Reason.TOO_SMALL),
    ],
)
def test_rejects(content, reason):
    with pytest.raises(Rejected) as rejected:
        pictures.normalise(content)
    assert rejected.value.reason == reason
    assert "\n" not in rejected.value.detail
    if reason != Reason.UNSUPPORTED_PIXELS:  # Which Pillow decodes.
        with pytest.raises(Rejected) as at_once:
            pictures.check(content)
        assert at_once.value.args == rejected.value.args


@pytest.mark.parametrize("look", [pictures.normalise, pictures.check])
def test_rejects_a_truncated_png(encode, look):
    with pytest.raises(Rejected) as rejected:
        look(encode(size=(200, 200))[:300])
    assert rejected.value.reason == Reason.CORRUPT_IMAGE


def test_a_check_takes_what_is_imported_and_loads_no_tensorflow(encode):
    for options in (KEPT | REENCODED).values():
        pictures.check(encode(**options))
    program = (
        "import sys\nfrom data import pictures\npictures.check(sys.stdin.buffer.read())\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], input=encode(), check=True, cwd=REPOSITORY)


def test_a_turned_photograph_keeps_its_size():
    noise = np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    photograph = Image.fromarray(noise).resize((1200, 800), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    photograph.save(file, format="JPEG", quality=90, exif=ROTATED)
    stored = pictures.normalise(file.getvalue())
    assert (stored.height, stored.width) == (1200, 800)
    assert len(stored.content) < 2 * len(file.getvalue())


def damaged_jpegs() -> list[bytes]:
    """JPEG files with a few wrong bytes, of which decoders make different pictures."""
    random = np.random.default_rng(5)
    file = io.BytesIO()
    noise = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, format="JPEG", quality=90)
    damaged = []
    for _ in range(40):
        content = bytearray(file.getvalue())
        for place in random.integers(700, len(content) - 2, 3):
            content[place] = random.integers(256)
        damaged.append(bytes(content))
    return damaged


def test_what_decoders_disagree_about_is_stored_as_people_see_it():
    stored_as_png = 0
    for content in damaged_jpegs():
        try:
            stored = pictures.normalise(content).content
        except Rejected:
            continue  # Pillow cannot read it at all.
        expected = as_pillow_sees(content, 3)
        assert np.abs(as_tensorflow_sees(stored) - expected).max() <= tensorflow_decoder.TOLERANCE
        stored_as_png += stored.startswith(b"\x89PNG")
    assert stored_as_png > 5


def test_what_tensorflow_cannot_decode_is_no_agreement(encode):
    image = Image.open(io.BytesIO(encode()))
    assert tensorflow_decoder.agrees(encode(), image)
    assert not tensorflow_decoder.agrees(b"\xff\xd8 lossless", image)
    assert not tensorflow_decoder.agrees(encode(size=(20, 33)), image)
    assert not tensorflow_decoder.agrees(encode(seed=1), image)


def test_servers_take_what_is_imported():
    assert flags.parse(["--model_name=x", "--model_base_path=/x"]).max_pixels == MAX_PIXELS


def test_an_animation_with_a_huge_later_frame_is_stored_as_its_first(monkeypatch):
    """TensorFlow would make room for all frames: it must not be asked."""
    red, blue = (Image.new("RGB", (24, 24), color) for color in ("red", "blue"))
    file = io.BytesIO()
    red.save(file, "GIF", save_all=True, append_images=[blue])
    content = bytearray(file.getvalue())
    first, second = (match.start() for match in re.finditer(rb"\x2c\0\0\0\0\x18\0\x18\0", content))
    content[second + 5 : second + 9] = (9_000).to_bytes(2, "little") * 2
    monkeypatch.setattr(tf.io, "decode_image", lambda *_, **__: pytest.fail("was decoded"))
    picture = pictures.normalise(bytes(content))
    assert first < second
    assert (picture.width, picture.height) == (24, 24)
    stored = Image.open(io.BytesIO(picture.content))
    assert (stored.format, stored.convert("RGB").getpixel((0, 0))) == ("PNG", (255, 0, 0))

import dataclasses
import io
import json
import os
import shutil
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.errors import DexmatchError
from serving.client import ServingUnavailable, open_model
from serving.search import index_file
from serving.search import pictures as picture_files
from serving.search.index import DEFAULT_NAME, Index
from serving.search.ranking import best

COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250)}


@pytest.fixture
def album(tmp_path):
    """Four pictures, one of them below, one broken; and what is no picture."""
    folder = tmp_path / "album"
    (folder / "below").mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (30, 20), colour).save(folder / f"{name}.png")
    shutil.move(folder / "blue.png", folder / "below" / "blue.PNG")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


class Counting:
    """Stands before a client and notes how many pictures it encodes."""

    def __init__(self, client):
        self._client = client
        self.encoded = 0

    def __getattr__(self, name):
        return getattr(self._client, name)

    def encode_images(self, images):
        self.encoded += len(images)
        return self._client.encode_images(images)


@pytest.fixture
def counting(tiny):
    return Counting(tiny)


def refresh(index, client):
    changes = index.compare(picture_files.in_folder(index.folder))
    client.encoded = 0
    index.update(client, changes, lambda done: None)
    return client.encoded


@pytest.fixture
def indexed(album, counting):
    index = Index.empty(album, counting)
    assert refresh(index, counting) == len(COLOURS)
    index.save(album / DEFAULT_NAME)
    return index


def test_a_search_calls_no_signature_for_the_first_time(album, tiny, monkeypatch):
    asked = []
    predict = tiny._predict
    monkeypatch.setattr(
        tiny, "_predict", lambda name, *rest: (asked.append(name), predict(name, *rest))[1]
    )
    index = Index.empty(album, tiny)
    warm = set(asked)
    refresh(index, tiny)
    asked.clear()
    index.search(tiny, tiny.encode_captions(["a red bird"])[0], 10)
    assert set(asked) == {"encode_caption", "score_embeddings"} <= warm


def test_the_ranking_is_that_of_score(indexed, tiny):
    query = tiny.encode_captions(["a red bird"])[0]
    hits = indexed.search(tiny, query, 10)
    images = [hit.path.read_bytes() for hit in hits]
    assert {hit.path.name for hit in hits} == {"red.png", "green.png", "blue.PNG"}
    expected = tiny.score(images, ["a red bird"] * 3)
    np.testing.assert_allclose([hit.probability for hit in hits], expected, atol=1e-6)
    assert sorted(expected, reverse=True) == expected.tolist()
    assert indexed.search(tiny, query, 1) == hits[:1]


def test_what_cannot_be_judged_is_named_and_not_found(indexed):
    assert indexed.reasons == {"broken.jpg": "no picture format that dexmatch reads"}


def test_a_saved_index_needs_no_encoding(indexed, album, counting):
    again = Index.load(album / DEFAULT_NAME, album)
    assert refresh(again, counting) == 0
    assert again.stamps == indexed.stamps
    assert again.reasons == indexed.reasons
    np.testing.assert_array_equal(again.embeddings, indexed.embeddings)


def test_only_what_is_new_or_changed_is_encoded_and_what_is_gone_is_dropped(
    indexed, album, counting
):
    Image.new("RGB", (30, 20), "yellow").save(album / "new.png")
    Image.new("RGB", (30, 20), COLOURS["blue"]).save(album / "red.png")
    # Such as a copy that keeps the size: the time tells.
    os.utime(album / "red.png", ns=(0, 0))
    (album / "green.png").unlink()
    index = Index.load(album / DEFAULT_NAME, album)
    assert refresh(index, counting) == 2
    assert set(index.stamps) == {"new.png", "red.png", "broken.jpg", "below/blue.PNG"}
    rows = {name: index.embeddings[row] for row, name in enumerate(index.stamps)}
    np.testing.assert_allclose(rows["red.png"], rows["below/blue.PNG"], atol=1e-6)
    assert not rows["broken.jpg"].any()


def test_a_repaired_picture_is_no_longer_unjudged(indexed, album, counting):
    Image.new("RGB", (9, 9), "red").save(album / "broken.jpg")
    refresh(indexed, counting)
    assert indexed.reasons == {}


def test_the_folder_may_be_moved_with_its_index(indexed, album, counting, tmp_path):
    moved = tmp_path / "moved"
    album.rename(moved)
    index = Index.load(moved / DEFAULT_NAME, moved)
    assert refresh(index, counting) == 0


def test_another_model_is_told_from_this_one(tiny_models, tiny, album):
    mine = Index.empty(album, tiny)
    with open_model(tiny_models.first / "1") as same, open_model(tiny_models.second) as other:
        assert same.version() == other.version()
        assert mine.is_of_same_model(Index.empty(album, same))
        assert not mine.is_of_same_model(Index.empty(album, other))


def test_another_width_is_another_model(tiny, album):
    mine = Index.empty(album, tiny)
    assert not mine.is_of_same_model(dataclasses.replace(mine, probe=mine.probe[:, :-1]))


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_cut_index_is_refused_in_one_line(indexed, album, share):
    file = album / DEFAULT_NAME
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DexmatchError, match="no index of dexmatch, or a damaged one") as raised:
        Index.load(file, album)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def foreign(path):
    np.savez(path, embeddings=np.zeros((1, 2), np.float32))


def pickled(path):
    np.savez(path, embeddings=np.array([{}]), manifest=np.array([{}]))


def too_few_rows(path):
    with np.load(path) as arrays:
        kept = dict(arrays)
    np.savez(path, embeddings=kept["embeddings"][1:], manifest=kept["manifest"])


def one_flipped_byte(path):
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)


def remade(path, *, write=np.savez, embeddings=None, **manifest):
    """The index with other embeddings, or with these things in its manifest."""
    with np.load(path) as arrays:
        known = json.loads(bytes(arrays["manifest"]))
        rows = arrays["embeddings"] if embeddings is None else embeddings
    text = json.dumps({**known, **manifest}).encode()
    write(path, embeddings=rows, manifest=np.frombuffer(text, np.uint8))


def nested(path):
    deep = np.frombuffer(b"[" * 100_000, np.uint8)
    np.savez(path, embeddings=np.zeros((1, 2), np.float32), manifest=deep)


def packed(path):
    remade(path, write=np.savez_compressed)


def not_finite(path):
    remade(path, embeddings=np.full((4, 8), np.nan, np.float32))


def one_row(path):
    remade(path, embeddings=np.zeros(4, np.float32))


def doubles(path):
    remade(path, embeddings=np.zeros((4, 8)))


def with_header(path, header):
    """The index with another header of its embeddings, as long as NumPy reads it."""
    with np.load(path) as arrays:
        manifest = io.BytesIO()
        np.save(manifest, arrays["manifest"])
    text = header.encode() + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.npy", manifest.getvalue())
        head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
        archive.writestr("embeddings.npy", head)


def huge(path):
    with_header(path, "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 8)}")


def no_header(path):
    with_header(path, "((((")


def locked(path):
    """Says that a password is needed."""
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def infinite_version(path):
    remade(path, version=float("inf"))


def no_reasons(path):
    remade(path, reasons=[1])


def flat_probe(path):
    remade(path, probe=[[[1.0] * 8]])


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    [
        *(foreign, pickled, too_few_rows, one_flipped_byte, nested, packed, not_finite, one_row),
        *(doubles, huge, no_header, locked, infinite_version, no_reasons, flat_probe, a_pipe),
    ],
)
def test_a_foreign_or_damaged_index_is_refused_in_one_line(indexed, album, damage):
    damage(album / DEFAULT_NAME)
    with pytest.raises(DexmatchError, match="no index of dexmatch, or a damaged one"):
        Index.load(album / DEFAULT_NAME, album)


def test_a_failed_write_leaves_the_old_index_and_nothing_else(indexed, album, monkeypatch):
    before = (album / DEFAULT_NAME).read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        indexed.save(album / DEFAULT_NAME)
    assert (album / DEFAULT_NAME).read_bytes() == before
    assert [path.name for path in album.glob(".dexmatch*")] == [DEFAULT_NAME]


def test_an_index_that_could_not_be_read_again_is_not_written(indexed, album, monkeypatch):
    before = (album / DEFAULT_NAME).read_bytes()
    monkeypatch.setattr(index_file, "_MAX_MANIFEST_BYTES", 10)
    with pytest.raises(OSError, match="File too large"):
        indexed.save(album / DEFAULT_NAME)
    assert (album / DEFAULT_NAME).read_bytes() == before
    with pytest.raises(DexmatchError, match="no index of dexmatch, or a damaged one"):
        Index.load(album / DEFAULT_NAME, album)


def test_an_interrupted_update_keeps_what_was_encoded(album, tiny, counting):
    class Failing(Counting):
        settings = type(tiny.settings)(max_batch=2)

        def encode_images(self, images):
            if self.encoded:
                raise ServingUnavailable("gone")
            return super().encode_images(images)

    index = Index.empty(album, tiny)
    with pytest.raises(ServingUnavailable):
        refresh(index, Failing(tiny))
    assert len(index.stamps) == len(index.embeddings) == 2
    assert refresh(index, counting) == 2
    assert len(index.stamps) == 4


def test_file_names_that_are_no_unicode(album, tiny, counting):
    name = os.fsdecode(b"caf\xe9 \n.png")
    shutil.copy(album / "red.png", album / name)
    index = Index.empty(album, tiny)
    refresh(index, counting)
    index.save(album / DEFAULT_NAME)
    assert name in Index.load(album / DEFAULT_NAME, album).stamps
    assert picture_files.shown(name) == "caf� \\n.png"


@pytest.mark.parametrize("top", [1, 3, 4, 9])
def test_the_best_come_first_and_equal_ones_in_their_order(top):
    values = np.array([0.2, 0.9, 0.5, 0.9])
    assert best(values, top).tolist() == [1, 3, 2, 0][:top]

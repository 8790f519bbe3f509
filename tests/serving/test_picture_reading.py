import os

import numpy as np
import pytest
from PIL import Image

from core.errors import DexmatchError
from data import pictures as importer_pictures
from serving.client import ServerFault, open_model
from serving.search import pictures as picture_files
from serving.search.encoding import encode_all
from serving.search.pictures import Unreadable


def test_served_pictures_are_sent_as_they_are(tmp_path, pictures):
    for name in ("rgb.png", "rgba.png", "rgb.jpg", "grey.png", "thin.png"):
        path = tmp_path / name
        path.write_bytes(pictures[name])
        assert picture_files.read(path) == pictures[name]


def test_a_photograph_is_judged_upright(tmp_path, tiny):
    """As the importer stored it; TensorFlow's decoder looks at no EXIF."""
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:, :20] = (250, 0, 0)
    upright = Image.fromarray(pixels)
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned a quarter clockwise.
    upright.rotate(90, expand=True).save(tmp_path / "phone.tiff", exif=exif)
    encoded = encode_all(tiny, sorted(tmp_path.iterdir()), 8, lambda done: None)
    assert encoded.reasons == {}
    np.testing.assert_allclose(encoded.embeddings[0], encoded.embeddings[1], atol=1e-5)


def test_why_a_picture_cannot_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "round.png").symlink_to("about.png")
    (tmp_path / "about.png").symlink_to("round.png")
    (tmp_path / "nowhere.png").symlink_to("gone.png")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, reason in {
        "pipe.png": "not a regular file",
        "empty.png": "empty file",
        "gone.png": "no such file",
        "nowhere.png": "no such file",
        "folder.png": "a folder",
        "round.png": "Too many levels of symbolic links",
        f"{'x' * 300}.png": "File name too long",
    }.items():
        with pytest.raises(Unreadable, match=reason):
            picture_files.read(tmp_path / name)


def test_order_is_kept_over_batches_and_failures(tmp_path, tiny):
    paths = []
    for number in range(70):
        path = tmp_path / f"{number}.png"
        if number % 9:
            Image.new("RGB", (12, 12), (number * 3, 255 - number * 3, 0)).save(path)
        else:
            path.write_bytes(b"broken")
        paths.append(path)
    told = []
    encoded = encode_all(tiny, paths, 8, told.append)
    assert encoded.paths == paths
    assert told == [32, 64, 70]
    assert set(encoded.reasons) == set(paths[::9])
    for number in (1, 40, 69):
        (alone,) = tiny.encode_images([paths[number].read_bytes()])
        np.testing.assert_allclose(encoded.embeddings[number], alone, atol=1e-5)


@pytest.mark.slow
def test_a_picture_that_the_server_refuses_costs_itself_only(
    tmp_path, serving, tiny, pictures, monkeypatch
):
    # The client has the same limit, and would not send it.
    monkeypatch.setattr(importer_pictures, "MAX_PIXELS", 10**9)
    (tmp_path / "good.png").write_bytes(pictures["rgb.png"])
    Image.new("L", (7100, 7100)).save(tmp_path / "huge.png")
    with open_model(serving.rest_url) as client:
        encoded = encode_all(client, sorted(tmp_path.iterdir()), 8, lambda done: None)
    assert list(encoded.reasons) == [tmp_path / "huge.png"]
    assert "50,000,000 pixels" in encoded.reasons[tmp_path / "huge.png"]
    (expected,) = tiny.encode_images([pictures["rgb.png"]])
    np.testing.assert_allclose(encoded.embeddings[0], expected, atol=1e-5)
    assert not encoded.embeddings[1].any()


def test_a_link_may_lead_out_of_its_folder(tmp_path, pictures):
    (tmp_path / "real.png").write_bytes(pictures["rgb.png"])
    (tmp_path / "album").mkdir()
    link = tmp_path / "album" / "link.png"
    link.symlink_to(tmp_path / "real.png")
    assert picture_files.read(link) == pictures["rgb.png"]


def test_what_is_there_and_cannot_be_read_is_found_and_told_when_read(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    (tmp_path / "round.png").symlink_to("round.png")
    long = f"{'x' * 300}.png"
    monkeypatch.chdir(tmp_path)
    list_folder = os.scandir

    def refused(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refused)
    found = picture_files.find([".", "round.png", long])
    assert [str(path) for path in found] == ["locked", "round.png", long]
    with pytest.raises(DexmatchError, match=r"^locked: cannot be read \(Permission denied\)$"):
        picture_files.find(["locked"])


def test_what_cannot_be_read_is_not_sent(tmp_path, tiny, pictures, monkeypatch):
    sent = []
    encode = type(tiny).encode_images
    monkeypatch.setattr(
        type(tiny),
        "encode_images",
        lambda self, images: (sent.extend(images), encode(self, images))[1],
    )
    for name, content in {"a.png": b"", "b.png": pictures["rgb.png"], "c.png": b"broken"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "d.png").symlink_to("d.png")
    paths = sorted(tmp_path.iterdir())
    encoded = encode_all(tiny, paths, 8, lambda done: None)
    assert sent == [pictures["rgb.png"]]
    assert [row.any() for row in encoded.embeddings] == [False, True, False, False]
    assert encoded.reasons == {
        tmp_path / "a.png": "empty file",
        tmp_path / "c.png": "no picture format that dexmatch reads",
        tmp_path / "d.png": "Too many levels of symbolic links",
    }
    nothing = encode_all(tiny, paths[:1], 8, lambda done: None)
    assert nothing.embeddings.tolist() == [[0.0] * 8]


def test_embeddings_of_another_width_are_told(tmp_path, tiny, pictures):
    (tmp_path / "good.png").write_bytes(pictures["rgb.png"])
    with pytest.raises(ServerFault, match="answered embeddings of 7 and of 8 numbers"):
        encode_all(tiny, [tmp_path / "good.png"], 7, lambda done: None)


def test_files_and_folders_each_picture_once(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    for name in ("c.png", "b/a.JPG", "b/.x.png", "b/x.txt"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    found = picture_files.find(["c.png", "b", "c.png", "b/x.txt"])
    assert [str(path) for path in found] == ["c.png", "b/a.JPG", "b/x.txt"]
    with pytest.raises(DexmatchError, match="d.png: no such file or folder"):
        picture_files.find(["c.png", "d.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DexmatchError, match="empty: no pictures in this folder"):
        picture_files.find(["empty"])

"""What a path in the data may lead to, and how it may be spelt."""

import os
import unicodedata

import pytest

from data import picture_files
from data.records import Reason, Rejected


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"content")
    (folder / "link.png").symlink_to("../secret.png")
    (folder / "inside.png").symlink_to("a.png")
    (folder / "up").symlink_to("..")
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    return folder


@pytest.mark.parametrize("name", ["a.png", "./a.png", "sub/../a.png", "inside.png"])
def test_reads_what_lies_inside(folder, name):
    assert picture_files.read(folder, name) == b"content"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.png", Reason.OUTSIDE_FOLDER),
        ("sub/../../secret.png", Reason.OUTSIDE_FOLDER),
        ("/etc/hostname", Reason.OUTSIDE_FOLDER),
        ("up/../../secret.png", Reason.OUTSIDE_FOLDER),
        ("..", Reason.OUTSIDE_FOLDER),
        ("..\\secret.png", Reason.FILE_NOT_FOUND),
        ("%2e%2e/secret.png", Reason.FILE_NOT_FOUND),
        ("%2fetc%2fhostname", Reason.FILE_NOT_FOUND),
        ("a.png%00", Reason.FILE_NOT_FOUND),
        ("loop.png", Reason.NOT_READABLE),
        ("missing.png", Reason.FILE_NOT_FOUND),
        ("a.png/b.png", Reason.FILE_NOT_FOUND),
        ("sub", Reason.NOT_A_FILE),
        (".", Reason.NOT_A_FILE),
        ("pipe.png", Reason.NOT_A_FILE),
        ("x" * 300, Reason.NOT_READABLE),
    ],
)
def test_rejects(folder, name, reason):
    with pytest.raises(Rejected) as rejected:
        picture_files.read(folder, name)
    assert rejected.value.reason == reason


def test_follows_a_link_to_the_folder_itself(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert picture_files.read(tmp_path / "link", "a.png") == b"content"


def test_rejects_what_may_not_be_read(folder, monkeypatch):
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # The superuser, as in a container, may read all.
    with pytest.raises(Rejected) as rejected:
        picture_files.read(folder, "a.png")
    assert (rejected.value.reason, rejected.value.detail) == (
        Reason.NOT_READABLE,
        "Permission denied",
    )


def test_rejects_a_huge_file(folder, monkeypatch):
    monkeypatch.setattr(picture_files, "MAX_BYTES", 3)
    with pytest.raises(Rejected) as rejected:
        picture_files.read(folder, "a.png")
    assert rejected.value.reason == Reason.TOO_LARGE


def test_tidies_names():
    assert picture_files.tidy("./a//b.png") == picture_files.tidy("a/c/../b.png") == "a/b.png"


@pytest.mark.parametrize("name", ["link.png", "up/secret.png"])
def test_follows_the_links_that_the_user_made(folder, name):
    assert picture_files.read(folder, name) == b"secret"


@pytest.mark.parametrize("name", ["../secret.png", "sub/../../secret.png", "/etc/hostname"])
def test_names_the_option_that_allows_paths_to_elsewhere(folder, name):
    with pytest.raises(Rejected) as rejected:
        picture_files.read(folder, name)
    assert "--allow-outside-paths" in rejected.value.detail


def test_the_option_allows_paths_to_elsewhere(folder, tmp_path):
    assert picture_files.read(folder, "../secret.png", allow_outside=True) == b"secret"
    assert picture_files.read(folder, str(tmp_path / "secret.png"), allow_outside=True) == b"secret"


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("named", ["NFC", "NFD"])
def test_letters_may_be_composed_in_any_way(folder, stored, named):
    there = unicodedata.normalize(stored, "é 강아지")
    (folder / there).mkdir()
    (folder / there / f"{there}.png").write_bytes(b"content")
    name = unicodedata.normalize(named, "é 강아지/é 강아지.png")
    assert picture_files.read(folder, name) == b"content"


def test_letters_may_be_composed_in_two_ways_within_one_name(folder):
    (folder / ("e\u0301" + "\u00e9.png")).write_bytes(b"content")
    assert picture_files.read(folder, "\u00e9e\u0301.png") == b"content"


@pytest.mark.parametrize(
    "name", ["sub\\b 1.png", "sub/b%201.png", "sub/b 1.png#0", "sub\\b%201.png#12"]
)
def test_other_spellings_of_a_name(folder, name):
    (folder / "sub" / "b 1.png").write_bytes(b"content")
    assert picture_files.read(folder, name) == b"content"


def test_a_file_that_is_really_called_so_goes_first(folder):
    for name in ("a%20b.png", "a b.png", "c.png#0", "c.png"):
        (folder / name).write_bytes(name.encode())
    assert picture_files.read(folder, "a%20b.png") == b"a%20b.png"
    assert picture_files.read(folder, "c.png#0") == b"c.png#0"


def test_says_which_spellings_were_tried(folder):
    with pytest.raises(Rejected) as rejected:
        picture_files.read(folder, "x\\y%20z.png#0")
    assert rejected.value.reason == Reason.FILE_NOT_FOUND
    for spelling in ("x/y%20z.png#0", "x\\y z.png#0", "x\\y%20z.png", "x/y z.png"):
        assert spelling in rejected.value.detail

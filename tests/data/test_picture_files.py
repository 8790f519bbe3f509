"""Nothing outside the picture folder is ever read."""

import os

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
        ("link.png", Reason.OUTSIDE_FOLDER),
        ("up/secret.png", Reason.OUTSIDE_FOLDER),
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

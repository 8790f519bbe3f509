"""A file is there whole or not at all."""

import os
import re
import stat
from pathlib import Path

import pytest

from core.errors import DexmatchError
from core.files import folder_size, open_atomically, plain_name, write_atomically


@pytest.fixture
def umask():
    """Sets the mask that new files get."""
    before = os.umask(0)
    os.umask(before)
    yield os.umask
    os.umask(before)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("content", "written"),
    [("a red bird é\n", "a red bird é\n".encode()), (b"\x00\xff", b"\x00\xff")],
)
def test_a_file_holds_what_was_written_and_nothing_stands_beside_it(tmp_path, content, written):
    write_atomically(tmp_path / "page.html", content)
    assert (tmp_path / "page.html").read_bytes() == written
    assert names(tmp_path) == ["page.html"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "index"
    path.write_bytes(b"old")
    with open_atomically(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "index"
    path.write_bytes(b"old")
    with pytest.raises(error), open_atomically(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["index"]


def test_the_content_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / "index"
    there = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: there.append(path.exists()))
    write_atomically(path, "new")
    assert there == [False]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_file_has_the_permissions_of_any_new_file(tmp_path, umask, mask, mode):
    umask(mask)
    write_atomically(tmp_path / "page.html", "")
    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) == mode


def test_where_nothing_can_be_written_the_file_is_named(tmp_path):
    path = tmp_path / "missing" / "page.html"
    with pytest.raises(DexmatchError, match=r"page\.html: cannot be written \(No such file"):
        write_atomically(path, "")


def test_a_folder_that_stands_there_stays(tmp_path):
    (tmp_path / "page.html" / "inner").mkdir(parents=True)
    with pytest.raises(DexmatchError, match=r"page\.html: cannot be written \(Is a directory"):
        write_atomically(tmp_path / "page.html", "")
    assert names(tmp_path) == ["page.html"]


def test_a_folders_size_counts_what_is_below_it(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one").write_bytes(b"123")
    (tmp_path / "a" / "b" / "two").write_bytes(b"4567")
    assert folder_size(tmp_path) == 7


@pytest.mark.parametrize("name", ["v2", "[v2]", "prö", "a?b*", "back\\slash", "a b%20#:{c}"])
def test_a_plain_name_is_that_of_the_folder_and_no_pattern(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "file").write_text(name)
    with plain_name(tmp_path / name) as plain:
        assert re.fullmatch("[A-Za-z0-9_./-]+", plain)
        assert Path(plain, "file").read_text() == name
    assert (plain == str(tmp_path / name)) == (name == "v2")
    assert name == "v2" or not Path(plain, "file").exists()


def test_a_plain_name_is_a_link_where_open_files_have_no_names(tmp_path, monkeypatch):
    """As on macOS."""
    monkeypatch.setattr("core.files._OPEN_FILES", "/nowhere/self/fd")
    (tmp_path / "[v2]").mkdir()
    (tmp_path / "[v2]" / "file").write_text("found")
    with plain_name(tmp_path / "[v2]") as plain:
        assert "[" not in plain
        assert Path(plain, "file").read_text() == "found"
    assert not os.path.lexists(plain)

"""A folder appears whole or not at all, and nothing else is ever deleted."""

import fcntl
import os

import pytest

from core.errors import DexmatchError
from data import dataset
from data.staging import publish, staged


@pytest.fixture
def target(tmp_path):
    return tmp_path / "sets" / "out"


@pytest.fixture
def old(target, monkeypatch):
    """A data set with one shard at the target."""

    def read_description(folder):
        if not (folder / "dataset.json").is_file():
            raise DexmatchError("not a data set")
        shard = dataset.Shard.model_construct(name="shard")
        return dataset.Dataset.model_construct(files=(shard,))

    monkeypatch.setattr(dataset, "read_description", read_description)
    target.mkdir(parents=True)
    for name in ("dataset.json", "shard"):
        (target / name).write_text("old")
    return target


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_publishes(target):
    with staged(target, overwrite=False) as folder:
        (folder / "a").write_text("x")
        assert not target.exists()
        publish(folder, target)
    assert names(target) == ["a"]
    assert names(target.parent) == ["out"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_leaves_nothing_after_an_error(target, error):
    with pytest.raises(error), staged(target, overwrite=False) as folder:
        (folder / "a").write_text("x")
        raise error
    assert names(target.parent) == []


def test_clears_away_what_a_killed_import_left(target):
    left = target.parent / ".out.importing"
    left.mkdir(parents=True)
    (left / "00000").write_text("half")
    with staged(target, overwrite=False) as folder:
        assert names(folder) == []
        publish(folder, target)
    assert names(target.parent) == ["out"]


def test_two_imports_keep_apart(target):
    with staged(target, overwrite=False) as folder:
        (folder / "a").write_text("x")
        with (
            pytest.raises(DexmatchError, match="another import"),
            staged(target, overwrite=False),
        ):
            pass
        assert names(folder) == ["a"]


def test_a_folder_published_while_we_wait_for_the_lock_is_not_emptied(target, monkeypatch):
    real = fcntl.flock

    def lock_late(descriptor, how):
        (target.parent / ".out.importing" / "a").write_text("x")
        (target.parent / ".out.importing").rename(target)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with pytest.raises(DexmatchError, match="another import"), staged(target, overwrite=True):
        pass
    assert names(target) == ["a"]


def test_takes_an_empty_folder(target):
    target.mkdir(parents=True)
    with staged(target, overwrite=False) as folder:
        publish(folder, target)
    assert names(target.parent) == ["out"]


def test_overwrites_a_data_set_when_asked(old):
    with staged(old, overwrite=True) as folder:
        (folder / "a").write_text("new")
        publish(folder, old)
    assert names(old) == ["a"]
    assert names(old.parent) == ["out"]


def test_does_not_overwrite_unasked(old):
    with pytest.raises(DexmatchError, match="--overwrite"), staged(old, overwrite=False):
        pass
    assert names(old) == ["dataset.json", "shard"]


@pytest.mark.parametrize("foreign", ["notes.txt", "photos"])
def test_never_deletes_what_it_did_not_write(old, foreign):
    (old / foreign).mkdir()
    with pytest.raises(DexmatchError, match=f"holds {foreign}"), staged(old, overwrite=True):
        pass
    assert names(old) == sorted(["dataset.json", "shard", foreign])


def test_never_deletes_a_folder_that_is_no_data_set(target):
    target.mkdir(parents=True)
    (target / "rejects.csv").write_text("mine")
    with pytest.raises(DexmatchError, match="choose another"), staged(target, overwrite=True):
        pass
    assert names(target) == ["rejects.csv"]


def test_refuses_a_file(target):
    target.parent.mkdir()
    target.write_text("x")
    with pytest.raises(DexmatchError, match="a file stands"), staged(target, overwrite=True):
        pass


def test_refuses_a_place_below_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(DexmatchError, match="cannot be written"),
        staged(tmp_path / "file" / "out", overwrite=False),
    ):
        pass


def test_puts_the_old_data_set_back_after_a_kill_between_the_renames(old):
    os.rename(old, old.with_name(".out.replaced"))
    with pytest.raises(DexmatchError, match="--overwrite"), staged(old, overwrite=False):
        pass
    assert names(old) == ["dataset.json", "shard"]

import json

import pytest

from core.errors import DexmatchError
from results import versions


@pytest.fixture
def base(tmp_path):
    """Versions 9, 10 and 11, and what else lies in such a folder."""
    for number in (9, 10, 11):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "saved_model.pb").write_bytes(b"x" * number)
        (tmp_path / str(number) / "fingerprint.pb").write_bytes(bytes([number]))
    (tmp_path / ".staging-1").mkdir()
    (tmp_path / "notes").mkdir()
    return tmp_path


def numbers(base):
    return [(each.number, each.is_set_aside) for each in versions.list_versions(base)]


def test_versions_are_listed_by_number_not_by_name(base):
    assert numbers(base) == [(11, False), (10, False), (9, False)]
    assert versions.served(versions.list_versions(base)).number == 11
    assert versions.list_versions(base)[0].size == 12


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("7", 7),
        ("007", 7),
        ("1000000000000000000", 10**18),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("9" * 4301, None),
        ("\uff11\uff12", None),  # Full-width digits.
        ("\u0661", None),
        ("1.0", None),
        ("-1", None),
        ("1\n", None),
        ("", None),
    ],
)
def test_a_version_is_ascii_digits_of_a_number_of_63_bits(name, number):
    assert versions.number_of(name) == number


def test_no_folder_is_no_version(tmp_path):
    assert versions.list_versions(tmp_path / "none") == []
    assert versions.served([]) is None
    assert versions.rollbacks(tmp_path) == []


def test_a_rollback_serves_the_version_before_and_loses_nothing(base):
    assert versions.roll_back(base, reason="wrong on birds").number == 10
    assert numbers(base) == [(11, True), (10, False), (9, False)]
    # To a model server, only folders with a number as their name are versions.
    assert sorted(path.name for path in base.iterdir() if path.name.isdigit()) == ["10", "9"]
    (line,) = versions.rollbacks(base)
    assert (line["from"], line["to"], line["reason"]) == (11, 10, "wrong on birds")
    assert json.dumps(line)


def test_going_back_twice_and_forth_again(base):
    versions.roll_back(base)
    assert versions.roll_back(base).number == 9
    assert numbers(base) == [(11, True), (10, True), (9, False)]
    assert versions.roll_back(base, to=11).number == 11
    assert numbers(base) == [(11, False), (10, True), (9, False)]
    assert [line["to"] for line in versions.rollbacks(base)] == [10, 9, 11]


def test_the_served_one_is_set_aside_last(base, monkeypatch):
    """A server that looks at any moment finds the old or the new version as the highest."""
    highest = []
    rename = versions.Path.rename

    def watched(self, target):
        renamed = rename(self, target)
        highest.append(versions.served(versions.list_versions(base)).number)
        return renamed

    monkeypatch.setattr(versions.Path, "rename", watched)
    versions.roll_back(base, to=9)
    assert highest == [11, 9]


def test_going_to_the_served_version_changes_nothing(base):
    assert versions.roll_back(base, to=11).number == 11
    assert versions.rollbacks(base) == []


def test_nothing_to_go_back_to_is_said(base):
    with pytest.raises(DexmatchError, match="no version 7; there are: 11, 10, 9"):
        versions.roll_back(base, to=7)
    versions.roll_back(base, to=9)
    with pytest.raises(DexmatchError, match="no earlier version"):
        versions.roll_back(base)


def test_old_versions_are_removed_but_for_those_in_use(base):
    (base / "rolled_back-8").mkdir()
    (base / "12").mkdir()
    assert versions.prune(base, 2, in_use=[9]) == [10, 8]
    assert numbers(base) == [(12, False), (11, False), (9, False)]
    assert not list(base.glob(".removed-*"))


@pytest.mark.parametrize("keep", [0, 3, 4])
def test_nothing_is_removed_below_the_limit(base, keep):
    assert versions.prune(base, keep) == []
    assert len(versions.list_versions(base)) == 3


def test_versions_set_aside_do_not_count_as_kept(base):
    versions.roll_back(base)
    assert versions.prune(base, 2) == []
    assert numbers(base) == [(11, True), (10, False), (9, False)]


def test_the_same_model_is_known_by_its_fingerprint(base, tmp_path):
    assert not versions.is_same_model(base / "9", base / "10")
    assert versions.is_same_model(base / "9", base / "9")
    assert not versions.is_same_model(base / "notes", base / "notes")

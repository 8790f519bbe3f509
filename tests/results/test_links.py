"""Plain names inside a workspace for what lies elsewhere."""

import pytest

from core.errors import DexmatchError
from results import links


@pytest.fixture
def places(tmp_path):
    """A workspace's folder, and two others whose names are patterns."""
    for name in ("root", "ds[12]", "ds1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "called").write_text(name)
    return tmp_path / "root", tmp_path / "ds[12]", tmp_path / "ds1"


def test_a_link_leads_to_the_folder_and_no_other(places):
    root, target, _ = places
    link = links.make(root, "data-12", target)
    assert link == root / "links" / "data-12"
    assert (link / "called").read_text() == "ds[12]"
    assert links.followed(link) == target


def test_a_link_is_pointed_at_another_place(places):
    root, target, other = places
    links.make(root, "data-12", target)
    assert links.followed(links.make(root, "data-12", other)) == other
    assert [each.name for each in (root / "links").iterdir()] == ["data-12"]


def test_what_a_link_led_to_is_known_when_it_is_gone(places, tmp_path):
    root, target, _ = places
    link = links.make(root, "data-12", target)
    target.rename(tmp_path / "elsewhere")
    assert links.followed(link) == target


def test_what_is_no_link_stays_as_it_is(places):
    assert links.followed(places[0] / "called") == places[0] / "called"


def test_a_copy_that_followed_the_links_is_not_written_to(places):
    root, target, _ = places
    (root / "links" / "data-12").mkdir(parents=True)
    with pytest.raises(DexmatchError, match="data-12: must be a link, and is a copy; remove it"):
        links.make(root, "data-12", target)

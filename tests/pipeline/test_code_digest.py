import sys

import pytest

from pipeline import code_digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "somepackage"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "inner" / "module.py").write_text("x = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop("somepackage", None)


def test_a_change_of_code_changes_the_digest(package):
    before = code_digest.of("somepackage")
    assert code_digest.of("somepackage") == before
    (package / "inner" / "module.py").write_text("x = 2\n", encoding="utf-8")
    assert code_digest.of("somepackage") != before


def test_other_files_do_not(package):
    before = code_digest.of("somepackage")
    (package / "notes.txt").write_text("hello", encoding="utf-8")
    assert code_digest.of("somepackage") == before


def test_what_is_no_package_is_refused():
    with pytest.raises(ValueError, match="not a package"):
        code_digest.of("json.decoder")

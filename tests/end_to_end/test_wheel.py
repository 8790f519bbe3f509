"""The wheel: all of the package is in it and nothing else, and it works on its own."""

import zipfile

import pytest

pytestmark = pytest.mark.slow


def test_every_file_of_the_package_is_in_it_and_nothing_else(wheels, wheel):
    expected = {
        path.relative_to(wheels.ROOT).as_posix()
        for package in wheels.PACKAGES
        for path in (wheels.ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    about = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - about == expected
    assert any(name.endswith("/licenses/LICENSE") for name in about)


def test_the_demo_is_drawn_in_another_folder(wheels, installed_command, tmp_path):
    said = wheels.call(installed_command, "data", "demo", "--count", 60, cwd=tmp_path).stderr
    assert "Next: dexmatch run --data datasets/demo --config demo" in said
    assert (tmp_path / "datasets" / "demo" / "dataset.json").is_file()

"""The wheel: all of the package is in it and nothing else, and it works on its own."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["importlinter"]["root_packages"]
NOT_SOURCE = ".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "datasets"
BACKEND = "import sys\nfrom setuptools import build_meta\nprint(build_meta.{}(sys.argv[1]))\n"
# Small enough for seconds, with a bound that any model holds.
TINY = [
    "image.size=32",
    "trainer.epochs=1",
    "trainer.batch_size=8",
    "model.feature_levels=[2]",
    "model.embedding_dim=16",
    "model.recurrent_units=16",
    "model.word_dim=16",
    "evaluator.slice_columns=['color']",
    "evaluator.confidence=none",
    "evaluator.min_slice_pairs=1",
    "evaluator.blessing=[{metric = 'auc', min = 0.0}]",
]


def call(*command, cwd):
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        # Nothing of the environment of the tests.
        env={"PATH": os.defpath, "HOME": str(cwd), "TERM": "dumb", "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def build(kind, source, out):
    """Builds a `wheel` or `sdist` of a source tree as `uv build` does, without a network."""
    program = BACKEND.format(f"build_{kind}")
    done = call(sys.executable, "-P", "-c", program, out, cwd=source)
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the source archive of a checkout in which somebody has worked."""
    folder = tmp_path_factory.mktemp("build")
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    for name in ("datasets/demo/mine.py", "serving_model/dexmatch/1/mine.py", "runs/mine.py"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    with tarfile.open(build("sdist", checkout, folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return build("wheel", unpacked, folder)


def test_every_file_of_the_package_is_in_it_and_nothing_else(wheel):
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    about = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - about == expected
    assert any(name.endswith("/licenses/LICENSE") for name in about)


@pytest.fixture(scope="module")
def dexmatch(wheel, tmp_path_factory):
    """The command, installed from the wheel into an environment of its own."""
    pytest.importorskip("ensurepip", reason="Debian's Python needs python3-venv to install pip")
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    call(python, "-m", "pip", "install", "--no-index", "--no-deps", wheel, cwd=environment)
    # What dexmatch needs takes minutes to download and install, so it is lent. The .pth files in
    # there, by which the checkout is installed, have no effect in a folder that is lent so.
    lent = [path for path in sys.path if Path(path).name == "site-packages"]
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(call(python, "-c", query, cwd=environment).stdout.strip())
    (packages / "lent.pth").write_text("\n".join(lent), encoding="utf-8")
    where = (
        f"import {', '.join(PACKAGES)}\nfor each in ({', '.join(PACKAGES)}): print(each.__file__)"
    )
    files = call(python, "-c", where, cwd=environment).stdout.split()
    assert all(Path(file).is_relative_to(packages) for file in files), files
    return environment / "bin" / "dexmatch"


def test_the_demo_is_trained_and_pushed_in_another_folder(dexmatch, tmp_path):
    said = call(dexmatch, "data", "demo", "--count", 60, cwd=tmp_path).stderr
    assert "Next: dexmatch run --data datasets/demo --config demo" in said
    settings = [f"--set={each}" for each in TINY]
    said = call(dexmatch, "run", "--config", "demo", *settings, cwd=tmp_path).stdout
    (pushed,) = (tmp_path / "serving_model" / "dexmatch").iterdir()
    assert (pushed / "saved_model.pb").is_file()
    assert "Served by" in said
    assert (tmp_path / "runs").is_dir()

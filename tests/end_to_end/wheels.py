"""The wheel, built and installed as a user does it, without a network."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = _PROJECT["tool"]["importlinter"]["root_packages"]
_NOT_SOURCE = ".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "datasets"
_BACKEND = "import sys\nfrom setuptools import build_meta\nprint(build_meta.{}(sys.argv[1]))\n"


def call(*command: object, cwd: Path) -> subprocess.CompletedProcess:
    """Runs a program with nothing of the environment of the tests; it must succeed."""
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={"PATH": os.defpath, "HOME": str(cwd), "TERM": "dumb", "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _build(kind: str, source: Path, out: Path) -> Path:
    """Builds a `wheel` or `sdist` of a source tree as `uv build` does, without a network."""
    program = _BACKEND.format(f"build_{kind}")
    done = call(sys.executable, "-P", "-c", program, out, cwd=source)
    return out / done.stdout.split()[-1]


def build(folder: Path) -> Path:
    """Builds it from the source archive of a checkout in which somebody has worked."""
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*_NOT_SOURCE))
    for name in ("datasets/demo/mine.py", "serving_model/dexmatch/1/mine.py", "runs/mine.py"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    with tarfile.open(_build("sdist", checkout, folder)) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return _build("wheel", unpacked, folder)


def install(wheel: Path, environment: Path) -> Path:
    """Installs it into an environment of its own; returns the `dexmatch` in there."""
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

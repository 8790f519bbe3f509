"""What is old in the locks or was yanked, and what of them an image needs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Stands for uv: resolves to what $NEWEST holds, and warns of $YANKED.
UV = """#!/bin/sh
case "$1 $2" in
"pip compile") while [ "$1" != --output-file ]; do shift; done; cp "$NEWEST" "$2" ;;
"pip install")
    [ -z "$YANKED" ] || echo "warning: \\`$YANKED\\` is yanked (reason: \\"broken\\")" >&2
    echo "Would install 2 packages" >&2 ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    """Runs a script of `tools/` with locks, given as lists of versions."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)

    def run(held, newest, yanked="", script="audit.sh", *arguments):
        for name, versions in {
            "requirements.lock": held,
            "requirements-older-linux.lock": held,
            "newest": newest,
        }.items():
            lines = [f"{version} \\\n    --hash=sha256:{version[-1]}\n" for version in versions]
            (tmp_path / name).write_text("".join(lines))
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "NEWEST": str(tmp_path / "newest"),
            "YANKED": yanked,
        }
        return subprocess.run(
            ["sh", tmp_path / "tools" / script, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_what_has_a_newer_release_is_listed_and_nothing_else(run):
    split = ["numpy==2.3.1 ; python_full_version < '3.12'", "numpy==2.4.0 ; python_version >= '3'"]
    done = run(["attrs==1.0", *split], ["attrs==1.1", *split])
    assert done.returncode == 0
    first, attrs, other, same, yanked = done.stdout.splitlines()
    assert first == "requirements.lock: 2 packages"
    assert other == "requirements-older-linux.lock: 2 packages"
    assert attrs.split() == same.split() == ["attrs", "1.0", "1.1"]
    assert yanked == "yanked: none"


def test_what_was_yanked_fails_with_the_reason(run):
    done = run(["attrs==1.0"], ["attrs==1.0"], yanked="attrs==1.0")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2:] == [
        "yanked:",
        '  `attrs==1.0` is yanked (reason: "broken")',
    ]


def test_an_image_gets_a_part_of_the_lock_and_nothing_else(run, tmp_path):
    target = tmp_path / "runtime.lock"
    held = ["attrs==1.0 ; sys_platform == 'linux'", "pytest==9.0"]
    for needed, status in (["attrs==1.0"], 0), (["attrs==1.1"], 1):
        done = run(held, needed, "", "runtime_lock.sh", target)
        assert done.returncode == status
        assert target.read_text().startswith(needed[0])
    assert (
        done.stderr.strip() == "setup: requirements.lock does not hold the lines above: make lock"
    )
    assert "attrs==1.1" in done.stdout

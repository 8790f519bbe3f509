"""`make setup` chooses packages and Python for the machine, or says why there are none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UPSTREAM, OLDER = "requirements.lock", "requirements-older-linux.lock"

# Stands for uv: has some Pythons, and writes down what it is asked for.
UV = """#!/bin/sh
echo "$@" >> "$LOG"
case "$1 $2" in
"python find") for last; do :; done; case " $PYTHONS " in *" $last "*) ;; *) exit 2 ;; esac ;;
"venv "*)
    mkdir -p .venv/bin
    printf '#!/bin/sh\\nexit %s\\n' "$NO_HEADERS" > .venv/bin/python
    chmod +x .venv/bin/python ;;
esac
"""


@pytest.fixture
def setup(tmp_path):
    """Runs `tools/setup.sh` on a machine that is made up; returns the process and uv's calls."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    commands = tmp_path / "commands"
    commands.mkdir()

    def run(system, glibc="", pythons="3.11", no_headers=0, compiler=True):
        made = {
            "uname": f'[ "$1" = -s ] && echo {system.split()[0]} || echo {system.split()[1]}',
            "getconf": f"[ -n '{glibc}' ] && echo glibc {glibc}",
            "uv": UV,
            **({"g++": ":"} if compiler else {}),
        }
        for name, text in made.items():
            (commands / name).write_text(text if text[0] == "#" else f"#!/bin/sh\n{text}\n")
            (commands / name).chmod(0o755)
        for name in ("sh", "sed", "dirname", "mkdir", "chmod"):
            link = commands / name
            link.unlink(missing_ok=True)
            link.symlink_to(shutil.which(name))
        log = tmp_path / "uv.log"
        log.touch()
        environment = {
            "PATH": str(commands),
            "LOG": str(log),
            "PYTHONS": pythons,
            "NO_HEADERS": str(no_headers),
        }
        done = subprocess.run(
            [commands / "sh", tmp_path / "tools" / "setup.sh"],
            env=environment,
            cwd=os.sep,
            capture_output=True,
            text=True,
            check=False,
        )
        return done, log.read_text().splitlines()

    return run


@pytest.mark.parametrize(
    ("system", "glibc", "pythons", "python", "lock"),
    [
        ("Linux x86_64", "2.41", "3.11 3.12 3.13 3.14", "3.13", UPSTREAM),
        ("Linux x86_64", "2.39", "3.11 3.12", "3.12", UPSTREAM),
        ("Linux x86_64", "2.39", "3.9 3.14", "3.13", UPSTREAM),
        ("Linux x86_64", "2.38", "3.11 3.12 3.13", "3.11", OLDER),
        ("Linux x86_64", "2.28", "3.13", "3.11", OLDER),
        ("Darwin arm64", "", "3.12", "3.12", UPSTREAM),
    ],
)
def test_the_newest_python_and_the_packages_for_it_are_taken(
    setup, system, glibc, pythons, python, lock
):
    done, asked = setup(system, glibc, pythons)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert f"Python {python} with the packages of {lock} (" in line
    assert f"venv --quiet --clear --python {python} .venv" in asked
    (sync,) = (call for call in asked if call.startswith("pip sync"))
    assert sync.endswith(f" {lock}")
    assert (ROOT / lock).is_file()


@pytest.mark.parametrize(
    ("system", "glibc", "advice"),
    [
        ("Linux x86_64", "2.27", "glibc 2.27 is too old, 2.28 is the least"),
        ("Linux x86_64", "", "Alpine: take Debian"),
        ("Linux aarch64", "2.41", "Linux on Arm: take"),
        ("Darwin x86_64", "", "Intel Macs: take Linux"),
        ("MINGW64_NT-10.0 x86_64", "", "install WSL"),
        ("FreeBSD amd64", "", "FreeBSD on amd64: take"),
    ],
)
def test_a_machine_without_wheels_is_told_at_once(setup, system, glibc, advice):
    done, asked = setup(system, glibc)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("setup: ")
    assert advice in line
    assert asked == []


def test_what_compiling_needs_is_told_before_anything_is_installed(setup):
    for wanting, said in (({"compiler": False}, "g++"), ({"no_headers": 1}, "python3-dev")):
        done, asked = setup("Linux x86_64", "2.41", **wanting)
        (line,) = done.stderr.splitlines()
        assert said in line
        assert not any(call.startswith("pip") for call in asked)

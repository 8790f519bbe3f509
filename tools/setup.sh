#!/bin/sh
# Makes .venv: Python with exactly the packages that this machine can have, every hash checked, and
# dexmatch itself, editable. Needs uv, or any Python 3 that can make a virtual environment.
#
# Where TFX's own set of packages has wheels, that is requirements.lock, on the newest Python that
# it takes; on older Linux requirements-older-linux.lock, on Python 3.11.
set -eu
cd "$(dirname "$0")/.."

OLDEST_GLIBC=28 # The wheels of pyarrow are for 2.28 and newer.

# Sets `lock`, `pythons` (the best first) and `why`.
choose_packages() {
    lock=requirements.lock
    pythons="3.13 3.12 3.11"
    case "$(uname -s) $(uname -m)" in
    "Darwin arm64") why="macOS on Apple silicon" ;;
    "Linux x86_64") choose_for_glibc ;;
    "Linux aarch64" | "Linux arm64")
        fail "TFX has no wheels for Linux on Arm: take an x86-64 machine, or macOS on this one" ;;
    Darwin*) fail "TFX has no wheels for Intel Macs: take Linux on x86-64, in a virtual machine on this one" ;;
    MINGW* | MSYS* | CYGWIN* | Windows*)
        fail "TFX has no wheels for Windows: install WSL (wsl --install) and run this in there" ;;
    *) fail "TFX has no wheels for $(uname -s) on $(uname -m): take Linux on x86-64, or macOS on Apple silicon" ;;
    esac
}

choose_for_glibc() {
    version=$(glibc_minor)
    [ -n "$version" ] ||
        fail "TensorFlow has no wheels for Linux without glibc, such as Alpine: take Debian, Ubuntu or Fedora"
    why="glibc 2.$version"
    [ "$version" -ge "$OLDEST_GLIBC" ] ||
        fail "$why is too old, 2.$OLDEST_GLIBC is the least: take Debian 11, Ubuntu 20.04, RHEL 9 or newer"
    if [ "$version" -lt "$UPSTREAM_GLIBC" ]; then
        lock=requirements-older-linux.lock
        pythons=3.11
        why="$why, before 2.$UPSTREAM_GLIBC"
    fi
}

# Sets `python` to the first of `pythons` that is here, else to the best, for uv to fetch.
choose_python() {
    for python in $pythons; do
        "$uv" python find --quiet --system --no-project --no-python-downloads "$python" \
            >/dev/null 2>&1 && return
    done
    python=${pythons%% *}
}

# pyfarmhash has no wheels.
check_compiler() {
    command -v c++ >/dev/null || command -v g++ >/dev/null ||
        fail "pyfarmhash must be compiled: install a C++ compiler (Debian: g++; macOS: xcode-select --install)"
    .venv/bin/python -c "
import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path('include'), 'Python.h').exists())" ||
        fail "pyfarmhash must be compiled: install Python's headers (Debian: python3-dev)"
}

. tools/find_uv.sh
. tools/glibc.sh
choose_packages
find_uv
choose_python
echo "setup: Python $python with the packages of $lock ($why)"
# Without a target for the copies, uv warns where cache and project are on different disks.
export UV_LINK_MODE="${UV_LINK_MODE:-copy}"
"$uv" venv --quiet --clear --python "$python" .venv ||
    fail "Python $python was neither found nor fetched: install one of $pythons (as python3.X on the PATH)"
check_compiler
# Compiled now, or every start would take twenty seconds where Python may not write byte code.
"$uv" pip sync --quiet --python .venv --require-hashes --compile-bytecode "$lock" ||
    fail "the packages could not be installed"
"$uv" pip install --quiet --python .venv --no-deps --no-build-isolation --editable .

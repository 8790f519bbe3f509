#!/bin/sh
# Makes .venv: Python 3.11 with exactly the packages of requirements.lock, every hash checked, and
# dexmatch itself, editable. Needs uv, or any Python 3 that can make a virtual environment.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "setup: $1" >&2
    exit 1
}

find_uv() {
    if command -v uv >/dev/null; then
        uv=uv
        return
    fi
    uv=.tools/bin/uv
    [ -x "$uv" ] && return
    command -v python3 >/dev/null || fail "install Python 3, or uv (docs.astral.sh/uv)"
    echo "setup: fetching uv"
    rm -rf .tools
    python3 -m venv .tools >/dev/null 2>&1 ||
        fail "this Python 3 cannot make a virtual environment: install python3-venv, or uv"
    .tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r tools/uv.lock || fail "uv could not be fetched; is the package index in reach?"
}

find_uv
echo "setup: making .venv with Python 3.11"
# Without a target for the copies, uv warns where cache and project are on different disks.
export UV_LINK_MODE="${UV_LINK_MODE:-copy}"
"$uv" venv --quiet --clear --python 3.11 .venv ||
    fail "Python 3.11 was neither found nor fetched: install it (as python3.11 on the PATH)"
echo "setup: installing the packages of requirements.lock"
# Compiled now, or every start would take twenty seconds where Python may not write byte code.
"$uv" pip sync --quiet --python .venv --require-hashes --compile-bytecode requirements.lock ||
    fail "the packages could not be installed"
"$uv" pip install --quiet --python .venv --no-deps --no-build-isolation --editable .

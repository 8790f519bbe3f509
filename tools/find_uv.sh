# Sourced by the scripts beside it.

fail() {
    echo "setup: $1" >&2
    exit 1
}

# Sets `uv`, which is fetched into .tools where there is none.
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

#!/bin/sh
# Resolves the dependencies of pyproject.toml anew, on any machine for all of them: TFX's own set for
# macOS and current Linux, and the set for older Linux. Then each platform is asked whether it could
# install its lock.
set -eu
cd "$(dirname "$0")/.."
. tools/find_uv.sh
find_uv

compile() {
    "$uv" pip compile --quiet pyproject.toml --extra dev --generate-hashes --no-emit-index-url \
        --no-header --upgrade "$@"
}

check() {
    lock=$1 platform=$2 python=$3
    target=$(mktemp -d)
    "$uv" pip install --quiet --dry-run --no-deps --require-hashes --python-platform "$platform" \
        --python-version "$python" --target "$target" -r "$lock" ||
        fail "$lock does not install on $platform with Python $python"
    rm -rf "$target"
}

compile --universal --python-version 3.11 --output-file requirements.lock
compile --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --override tools/older-linux-overrides.txt --output-file requirements-older-linux.lock
for python in 3.11 3.12 3.13; do
    check requirements.lock x86_64-manylinux_2_39 "$python"
    check requirements.lock aarch64-apple-darwin "$python"
done
check requirements-older-linux.lock x86_64-manylinux_2_28 3.11

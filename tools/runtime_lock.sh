#!/bin/sh
# Writes what of requirements.lock the package, its pretrained weights and Kubeflow need, without what
# only its development does, to a file of the same kind. It fails if that would be anything that the
# lock does not hold.
set -eu
target=$(realpath "$1")
cd "$(dirname "$0")/.."
. tools/find_uv.sh
. tools/resolve.sh
find_uv

without_markers() {
    sed 's/ ;[^\\]*\\$/ \\/' "$1"
}

compile --extra pretrained --extra kfp --universal --no-annotate --constraint requirements.lock \
    --output-file "$target"
known=$(mktemp)
without_markers requirements.lock > "$known"
if without_markers "$target" | grep --line-regexp --fixed-strings --invert-match --file "$known"; then
    rm "$known"
    fail "requirements.lock does not hold the lines above: make lock"
fi
rm "$known"

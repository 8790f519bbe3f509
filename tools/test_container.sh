#!/bin/sh
# Builds the image from what is committed, and runs the command in it as its user does: help, the
# demo's data, and a pipeline that ends with a pushed model. No container engine has to run: buildah
# does it, on a base that is made of Debian's archive.
#
# Needs root, for debootstrap and buildah, and 15 GB in TMPDIR.
set -eu
cd "$(dirname "$0")/.."
. tools/debian.sh
source=$(pwd)
needs debootstrap buildah
scratch=$(mktemp -d)
# Layers of its own: nobody's images are touched.
image() {
    buildah --root "$scratch/images" --runroot "$scratch/running" \
        --storage-driver "${STORAGE_DRIVER:-overlay}" "$@"
}
clean() {
    image rm --all >/dev/null 2>&1 || true
    umount "$scratch/images/overlay" 2>/dev/null || true
    rm -rf "$scratch"
}
trap clean EXIT
trap 'exit 130' INT TERM
export BUILDAH_ISOLATION=chroot

new_debian "$scratch/debian" python3,python3-venv
base=$(image from scratch)
image add --quiet "$base" "$scratch/debian" / >/dev/null
image config --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt "$base"
image commit --quiet --rm "$base" debian-python >/dev/null
rm -r "$scratch/debian"

git clone --quiet "$source" "$scratch/dexmatch"
echo "container: building"
image build --quiet --network host --pull=never --build-arg BASE=localhost/debian-python \
    --tag dexmatch "$scratch/dexmatch" >/dev/null
image images

inside() {
    image run --network host "$made" -- "$@"
}
made=$(image from --pull=never dexmatch)
inside sh -c 'test "$(id --user --name)" = dexmatch'
inside dexmatch --help
inside dexmatch data demo
inside dexmatch run --config demo --set trainer.epochs=1 --set image.size=32 \
    --set evaluator.confidence=none \
    --set 'evaluator.blessing=[{metric="auc", slice="against:random", min=0.0}]'
inside sh -c 'ls /project/serving_model/*/*/saved_model.pb'
echo "container: passed"

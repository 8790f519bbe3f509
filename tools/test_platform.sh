#!/bin/sh
# Sets dexmatch up from what is committed in a new Debian 13 (Python 3.13, TFX's own packages), by the
# README's two commands. On a machine that has as new a glibc it does so in a clone.
#
#   tools/test_platform.sh [COMMAND]     COMMAND instead of `make run && make test`
#
# Needs root, for debootstrap and chroot, and 12 GB in TMPDIR.
set -eu
cd "$(dirname "$0")/.."
. tools/glibc.sh
. tools/debian.sh
command=${1:-make run && make test}
source=$(pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

version=$(glibc_minor)
if [ "${version:-0}" -ge "$UPSTREAM_GLIBC" ]; then
    echo "platform: glibc 2.$version is here already"
    git clone --quiet "$source" "$scratch/dexmatch"
    cd "$scratch/dexmatch"
    sh -c "$command"
    exit
fi

needs debootstrap unshare
root=$scratch/root
new_debian "$root" g++,git,make,python3,python3-dev,python3-venv
git clone --quiet "$source" "$root/dexmatch"

# What is mounted goes with the namespace, so nothing outside the root is ever removed with it.
unshare --mount --pid --fork --kill-child sh -eu -c '
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm" 2>/dev/null || true
    exec chroot "$1" env -i HOME=/root TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
        ${https_proxy:+https_proxy="$https_proxy"} ${no_proxy:+no_proxy="$no_proxy"} \
        ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} \
        ${UV_DEFAULT_INDEX:+UV_DEFAULT_INDEX="$UV_DEFAULT_INDEX"} \
        sh -c "cd /dexmatch && $2"
' platform "$root" "$command"

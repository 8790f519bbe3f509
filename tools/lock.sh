#!/bin/sh
# Writes both locks, on any machine for all of them; then each platform is asked whether it could
# install its lock.
set -eu
cd "$(dirname "$0")/.."
. tools/find_uv.sh
. tools/resolve.sh
find_uv

check() {
    said=$(try_install "$@") ||
        fail "$1 does not install on $2 with Python $3: $(echo "$said" | tail -n 1)"
}

resolve requirements.lock requirements-older-linux.lock
each_platform check

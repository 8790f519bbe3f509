#!/bin/sh
# Lists what in the locks has a newer release within the bounds of pyproject.toml, and what upstream
# has yanked. Exit status 1: something was yanked.
set -eu
cd "$(dirname "$0")/.."
. tools/find_uv.sh
. tools/resolve.sh
find_uv
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Name and version of each package; several versions, for several Pythons, joined by a comma.
versions() {
    sed -n 's/^\([A-Za-z0-9._-]*\)==\([^ ;]*\).*/\1 \2/p' "$1" | sort -u |
        awk '{ held = ($1 in all) ? all[$1] "," : ""; all[$1] = held $2 }
            END { for (each in all) print each, all[each] }' |
        sort
}

list_newer() {
    versions "$1" >"$scratch/held"
    versions "$2" >"$scratch/newest"
    echo "$1: $(wc -l <"$scratch/held") packages"
    join "$scratch/held" "$scratch/newest" |
        while read -r name held newest; do
            [ "$held" = "$newest" ] || printf '  %-40s %-14s %s\n' "$name" "$held" "$newest"
        done
}

note_yanked() {
    try_install "$@" | sed -n 's/^warning: \(.* is yanked.*\)/  \1/p' >>"$scratch/yanked"
}

resolve "$scratch/requirements.lock" "$scratch/requirements-older-linux.lock"
for lock in requirements.lock requirements-older-linux.lock; do
    list_newer "$lock" "$scratch/$lock"
done
: >"$scratch/yanked"
each_platform note_yanked
if [ -s "$scratch/yanked" ]; then
    echo "yanked:"
    sort -u "$scratch/yanked"
    exit 1
fi
echo "yanked: none"

# Sourced by the scripts beside it.

needs() {
    for needed; do
        command -v "$needed" >/dev/null || { echo "debian: install $needed" >&2; exit 1; }
    done
    [ "$(id -u)" = 0 ] || { echo "debian: debootstrap needs root" >&2; exit 1; }
}

# Makes a Debian 13 with the packages (names with commas between them), and the network as it is
# here, its authorities too.
new_debian() {
    root=$1
    packages=$2
    echo "debian: making a Debian 13"
    debootstrap --variant=minbase --include="ca-certificates,$packages" trixie "$root" \
        >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; exit 1; }
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || cp --dereference "$file" "$root$file"
    done
}

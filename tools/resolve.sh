# Sourced by the scripts beside it, after find_uv.sh: what is resolved, and for which platforms.

# Resolves pyproject.toml anew into two locks: TFX's own set for macOS and current Linux, and the set
# for older Linux.
resolve() {
    resolve_extras --universal --output-file "$1"
    resolve_extras --python-platform x86_64-manylinux_2_28 \
        --override tools/older-linux-overrides.txt --output-file "$2"
}

resolve_extras() {
    compile --extra dev --extra pretrained --extra kfp --upgrade "$@"
}

compile() {
    "$uv" pip compile --quiet pyproject.toml --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header "$@"
}

# Calls a function with each lock, platform and Python that are to go together.
each_platform() {
    for python in 3.11 3.12 3.13; do
        "$1" requirements.lock x86_64-manylinux_2_39 "$python"
        "$1" requirements.lock aarch64-apple-darwin "$python"
    done
    "$1" requirements-older-linux.lock x86_64-manylinux_2_28 3.11
}

# Asks whether a platform could install a lock; says what uv says.
try_install() {
    target=$(mktemp -d)
    status=0
    "$uv" pip install --dry-run --no-deps --require-hashes --python-platform "$2" \
        --python-version "$3" --target "$target" -r "$1" 2>&1 || status=$?
    rm -rf "$target"
    return "$status"
}

# Sourced by the scripts beside it.

UPSTREAM_GLIBC=39 # The wheels of ml-metadata and tensorflow-data-validation are for 2.39 and newer.

# Prints n of glibc 2.n; nothing where there is no glibc.
glibc_minor() {
    getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc 2\.\([0-9]*\).*/\1/p'
}

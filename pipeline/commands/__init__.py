"""One module per group of `dexmatch` commands."""

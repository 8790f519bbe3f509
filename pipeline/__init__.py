"""The pipeline, its configuration, its orchestrators and the `dexmatch` command."""

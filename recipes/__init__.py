"""Configurations to start from, which come along with the package; see `core.config.files`."""

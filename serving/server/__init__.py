"""The embedded engine: a model server for development, tests and CI."""

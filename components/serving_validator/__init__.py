"""Boots a model server on a candidate, and lets only those pass that can be served."""

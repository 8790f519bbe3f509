"""Serving: the files, engines and clients of the pushed model."""

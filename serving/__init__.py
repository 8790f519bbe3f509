"""Serving the pushed model: engines, the embedded server, and clients."""

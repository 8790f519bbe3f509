"""How much a single input may hold, for all that read it: importers, training and servers."""

MAX_PIXELS = 50_000_000
"""Of a picture, all its frames together, checked in its header before a pixel is decoded: a small
file can hold a huge picture. What is imported is what a server takes, so that no model fails over a
picture of its own test split."""

"""Sets wrong captions against the true ones."""

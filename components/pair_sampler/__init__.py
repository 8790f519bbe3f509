"""Sets negatives against the true ones."""

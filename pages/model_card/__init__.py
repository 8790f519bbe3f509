"""The model card: one HTML page for those who use a model."""

"""Custom TFX components, one folder each: the spec and its executor."""

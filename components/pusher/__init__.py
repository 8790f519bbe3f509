"""Pushes models whole or not at all."""

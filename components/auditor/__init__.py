"""Judges each pair by a model that never saw its group, and finds pictures that stand twice."""

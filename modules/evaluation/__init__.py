"""Metrics of our own, for the Evaluator."""

"""Writes down what the model is, what it was made from, how good it is, and where it is weak."""

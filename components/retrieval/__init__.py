"""Measures how well the model finds the caption of a picture, and the picture of a caption."""

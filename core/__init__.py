"""What every other package may import: errors, configuration, the feature contract, the terminal,
files, HTML templates.

Nothing here imports TensorFlow, TFX or another package of ours.
"""

"""What every other package may import: errors, configuration, the feature contract, the terminal.

Nothing here imports TensorFlow, TFX or another package of ours.
"""

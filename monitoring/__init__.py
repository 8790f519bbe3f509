"""What comes in, set against what the model was trained on."""

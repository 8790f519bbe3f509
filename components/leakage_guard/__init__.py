"""Says where a judged split holds what the model was trained on, and stops the run if it may."""

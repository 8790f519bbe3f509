"""What TFX loads: features, preprocessing, the model, training, signatures, evaluation."""

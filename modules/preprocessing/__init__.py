"""From encoded images and captions to what the model takes, for Transform and for serving alike."""

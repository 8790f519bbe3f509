"""TFX's Evaluator, which judges only slices that are large enough."""

"""The training: data, negatives, losses, fitting, checkpoints, calibration."""

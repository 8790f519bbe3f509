"""TensorFlow Data Validation as `tfdv`, which on older Linux needs some preparation."""

from core import older_linux

older_linux.before_tfdv()

import tensorflow_data_validation as tfdv  # noqa: E402

__all__ = ["tfdv"]

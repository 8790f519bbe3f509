"""What comes in, set against what the model was trained on."""

# Brings what tensorflow_data_validation lacks; see CONTRIBUTING.md.
import tfx  # noqa: F401

"""What past runs left, as plain figures: metadata, evaluation, retrieval, pushed versions."""

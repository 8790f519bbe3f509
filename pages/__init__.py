"""The HTML pages that tell of a run: the report and the model card."""

REPORT = "report.html"
"""File in a `Report` artifact."""
MODEL_CARD = "model_card.html"
"""File in a `ModelCard` artifact."""
LIBRARIES = "libraries"
"""Custom property of a `Report` artifact: the versions of the libraries that the run was made with,
as JSON, so that the report can be written again later."""

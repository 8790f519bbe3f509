"""The artifact type of ModelCard's output."""

from tfx.types.artifact import Artifact


class ModelCard(Artifact):
    """A model card: one HTML file, `pipeline.summary.MODEL_CARD`."""

    TYPE_NAME = "ModelCard"

"""The artifact type of ModelCard's output."""

from tfx.types.artifact import Artifact


class ModelCard(Artifact):
    """A model card: one HTML file, `pages.MODEL_CARD`."""

    TYPE_NAME = "components.ModelCard"

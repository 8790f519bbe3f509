"""The artifact type of RetrievalEvaluator's output."""

from tfx.types.artifact import Artifact


class RetrievalMetrics(Artifact):
    """Retrieval figures: `retrieval.json`, and each figure as a custom property.

    Read it with `results.retrieval.load`.
    """

    TYPE_NAME = "components.RetrievalMetrics"

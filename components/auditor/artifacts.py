"""The artifact type of Auditor's output."""

from tfx.types.artifact import Artifact


class Judgments(Artifact):
    """What was found of every pair; read it with `results.judgments.load`."""

    TYPE_NAME = "components.Judgments"

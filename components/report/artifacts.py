"""The artifact type of Report's output."""

from tfx.types.artifact import Artifact


class Report(Artifact):
    """A report: one HTML file, `pages.REPORT`, and the custom property `pages.LIBRARIES`."""

    TYPE_NAME = "components.Report"

"""The artifact type of Report's output."""

from tfx.types.artifact import Artifact


class Report(Artifact):
    """A report: one HTML file, `pipeline.summary.REPORT`.

    Its custom property `LIBRARIES` holds the versions of the libraries that the run was made with,
    as JSON, so that the report can be written again later.
    """

    TYPE_NAME = "Report"


LIBRARIES = "libraries"

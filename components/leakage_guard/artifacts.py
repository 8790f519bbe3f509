"""The artifact type of LeakageGuard's output."""

from tfx.types.artifact import Artifact


class LeakageReport(Artifact):
    """What the judged splits share with train: `leakage.json`, and `WARNING` if it is anything.

    The file holds a list with one object for each kind and split that leak; see
    `components.leakage_guard.leaks.Leak`.
    """

    TYPE_NAME = "components.LeakageReport"

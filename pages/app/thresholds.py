"""The probability from which a caption counts as right: that with which a model was blessed."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from results.metadata import Metadata


@dataclass(frozen=True)
class KnownThreshold:
    """A threshold.

    Attributes:
      value: the probability.
      source: where it is from, in words.
      is_blessed: whether the version that answers was judged with it before it was pushed.
    """

    value: float
    source: str
    is_blessed: bool


class Thresholds:
    """Finds the threshold of a version.

    Args:
      open_metadata: opens what past runs left.
      configured: `evaluator.threshold` of today, for versions that no run here has pushed.
      given: what the user wants instead of any; None for nothing.
    """

    def __init__(
        self, open_metadata: Callable[[], Metadata], configured: float, given: float | None
    ):
        self._open = open_metadata
        self._configured = configured
        self._given = given
        self._known: dict[int, KnownThreshold] = {}
        self._lock = threading.Lock()

    def of(self, version: int) -> KnownThreshold:
        """The threshold of a version of the model."""
        with self._lock:
            if version not in self._known:
                self._known[version] = self._find(version)
            return self._known[version]

    def _find(self, version: int) -> KnownThreshold:
        if self._given is not None:
            return KnownThreshold(self._given, "as --threshold says", is_blessed=False)
        for run in reversed(self._open().runs()):
            value = run.config.get("evaluator", {}).get("threshold")
            if run.pushed_version == str(version) and value is not None:
                return KnownThreshold(value, f"of run {run.id}, which pushed it", is_blessed=True)
        return KnownThreshold(
            self._configured,
            "evaluator.threshold of the configuration: no run here has pushed this version, so the "
            "one that it was blessed with is not known",
            is_blessed=False,
        )

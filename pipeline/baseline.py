"""Which model a candidate is compared with, and `model.weights = "last_blessed"` goes on from."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from core import reporting
from results import versions
from results.metadata import Run

_SAVED_MODEL = "saved_model.pb"

_log = logging.getLogger(f"{reporting.LOGGER}.baseline")


CANDIDATE = "candidate"
"""The channel by which `BaselineStrategy` is told what is to be compared."""


class BaselineStrategy(LatestBlessedModelStrategy):
    """The latest blessed model, past those that were rolled back: they looked better than they are.

    A candidate is not compared with itself. Where it is the latest blessed model, because nothing
    has changed since it was blessed, the one before it is found again, with which it was compared
    then. So its evaluation, and all that follows from it, comes from the cache.

    Args:
      serving_directory: where models are pushed to.
    """

    def __init__(self, serving_directory: str):
        self._serving_directory = Path(serving_directory)

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """Finds it.

        Args:
          store: the MLMD store.
          input_dict: all `Model`s, all `ModelBlessing`s, and the `CANDIDATE` if there is one yet.

        Returns:
          One of each, or none; the candidate as it came.
        """
        candidates = input_dict.get(CANDIDATE, [])
        own = {candidate.id for candidate in candidates}
        pushed = versions.list_versions(self._serving_directory)

        def is_offered(artifact: types.Artifact) -> bool:
            if not isinstance(artifact, standard_artifacts.Model):
                return True
            if artifact.id in own:
                return False
            saved = Path(path_utils.serving_model_path(artifact.uri))
            return versions.rolled_back(pushed, saved) is None

        offered = {
            name: [artifact for artifact in artifacts if is_offered(artifact)]
            for name, artifacts in input_dict.items()
            if name != CANDIDATE
        }
        resolved: dict[str, list[types.Artifact]] | None = super().resolve_artifacts(store, offered)
        if resolved is not None and CANDIDATE in input_dict:
            resolved[CANDIDATE] = candidates
        return resolved


def restore(runs: Sequence[Run], serving: Path) -> None:
    """Puts a pushed copy in the place of the latest blessed model, if that is gone.

    Else a worse model could take the place of the one that is served, for want of a baseline.

    Args:
      runs: all of them, the oldest first.
      serving: where models are pushed to.
    """
    pushed = versions.list_versions(serving)
    copies = {str(each.number): each for each in pushed}
    lost = None
    for run in reversed(runs):
        model = run.output("Model")
        if model is None or not run.is_blessed:
            continue
        place = Path(path_utils.serving_model_path(model.uri))
        if (place / _SAVED_MODEL).is_file():
            if versions.rolled_back(pushed, place) is None:
                break
            continue
        copy = copies.get(run.pushed_version or "")
        if copy is None or not (copy.path / _SAVED_MODEL).is_file():
            lost = lost or place
        elif not copy.is_set_aside:
            _log.warning("%s is gone: its pushed copy %s takes its place", place, copy.path)
            _copy(copy.path, place)
            return
    if lost:
        _log.warning("%s is gone: nothing is compared with this blessed model", lost)


def _copy(source: Path, target: Path) -> None:
    """Copies a folder; what a kill leaves does not pass for the whole."""
    half = target.parent.with_name(f".half-{target.parent.name}")
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(source, half)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    half.rename(target)

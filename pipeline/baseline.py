"""Which model a candidate is compared with, and `model.weights = "last_blessed"` goes on from."""

from pathlib import Path
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from results import versions


class BaselineStrategy(tfx.dsl.experimental.LatestBlessedModelStrategy):
    """The latest blessed model, past those that were rolled back: they looked better than they are.

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
          input_dict: all `Model`s and all `ModelBlessing`s.

        Returns:
          One of each, or none.
        """
        pushed = versions.list_versions(self._serving_directory)

        def is_offered(artifact: types.Artifact) -> bool:
            if not isinstance(artifact, standard_artifacts.Model):
                return True
            saved = Path(path_utils.serving_model_path(artifact.uri))
            return versions.rolled_back(pushed, saved) is None

        offered = {
            name: [artifact for artifact in artifacts if is_offered(artifact)]
            for name, artifacts in input_dict.items()
        }
        resolved: dict[str, list[types.Artifact]] | None = super().resolve_artifacts(store, offered)
        return resolved

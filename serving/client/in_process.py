"""The client that needs no server: it loads the model itself."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.files import plain_name
from core.matcher import MatcherWeights
from results import versions
from serving.client import errors
from serving.client.base import AVAILABLE, Client, Floats, Settings, VersionStatus
from serving.client.retries import Deadline

_SAVED_MODEL = "saved_model.pb"


class InProcess(Client):
    """Loads TensorFlow, and with it a SavedModel.

    Args:
      folder: a version, or a folder of versions: of those the highest number is taken.
      settings: batches; deadlines and retries have no meaning here.

    Raises:
      ModelNotFound: there is no model that can be loaded.
    """

    def __init__(self, folder: Path, settings: Settings | None = None):
        self._folder = latest(folder)
        super().__init__(str(self._folder), settings or Settings())
        import tensorflow as tf

        self._tf = tf
        try:
            with plain_name(self._folder) as name:
                self._loaded = tf.saved_model.load(name)
        except (OSError, tf.errors.OpError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise errors.ModelNotFound(f"{self.where}: cannot be loaded ({reason})") from error
        self._matcher_weights = _matcher_weights(self._loaded)

    def status(self) -> list[VersionStatus]:
        """See `Client.status`; a folder whose name is no number is version 0."""
        name = self._folder.name
        return [VersionStatus(int(name) if name.isdecimal() else 0, AVAILABLE)]

    def matcher_weights(self) -> MatcherWeights | None:
        """See `Client.matcher_weights`."""
        return self._matcher_weights

    def _predict(
        self, signature: str, inputs: Mapping[str, Any], output: str, deadline: Deadline
    ) -> Floats:
        tf = self._tf
        function = self._loaded.signatures.get(signature)
        specs = function.structured_input_signature[1] if function else {}
        if specs.keys() != inputs.keys() or output not in function.structured_outputs:
            raise errors.ModelNotFound(
                f"{self.where}: has no signature {signature!r} from {', '.join(inputs)} to "
                f"{output}; is it a model that dexmatch pushed?"
            )
        tensors = {}
        for name, values in inputs.items():
            kind = tf.float32 if isinstance(values, np.ndarray) else tf.string
            tensors[name] = tf.constant(values, kind)
            # Called from Python, a signature takes other shapes too, and answers nonsense.
            if not specs[name].shape.is_compatible_with(tensors[name].shape):
                raise errors.InvalidRequest(
                    f"{self.where}: {name} must be {specs[name].shape.as_list()}, not "
                    f"{tensors[name].shape.as_list()}"
                )
        try:
            answer: Floats = function(**tensors)[output].numpy()
        except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise errors.InvalidRequest(f"{self.where}: {signature}: {reason}") from error
        return answer


def _matcher_weights(loaded: Any) -> MatcherWeights | None:
    function = getattr(loaded, "matcher_weights", None)
    if function is None:
        return None
    found = {name: value.numpy() for name, value in function().items()}
    if found.keys() != {field.name for field in dataclasses.fields(MatcherWeights)}:
        return None  # Of a model that another version of dexmatch pushed.
    return MatcherWeights(**found)


def latest(folder: Path) -> Path:
    """The folder itself if it is a SavedModel, else the highest version in it.

    Raises:
      ModelNotFound: it is neither.
    """
    if (folder / _SAVED_MODEL).is_file():
        return folder
    if not folder.is_dir():
        raise errors.ModelNotFound(f"{folder}: no such folder; push a model with dexmatch run")
    whole = [
        each for each in versions.list_versions(folder) if (each.path / _SAVED_MODEL).is_file()
    ]
    served = versions.served(whole)
    if served is None:
        raise errors.ModelNotFound(f"{folder}: holds no model; push one with dexmatch run")
    return served.path

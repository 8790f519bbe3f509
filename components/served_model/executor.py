"""ServedModel's executor: copies the version that is served."""

import shutil
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from results import versions

SERVING_DIRECTORY = "serving_directory"
MODEL = "model"

_VERSION = "version"


class Executor(base_executor.BaseExecutor):
    """See `components.served_model.component.ServedModel`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `model`, with the version as a custom property."""
        self._log_startup(input_dict, output_dict, exec_properties)
        base = Path(exec_properties[SERVING_DIRECTORY])
        found = versions.served(versions.list_versions(base))
        if found is None:
            logging.info("No model is served from %s yet.", base)
            return
        model = artifact_utils.get_single_instance(output_dict[MODEL])
        shutil.copytree(found.path, path_utils.serving_model_dir(model.uri))
        model.set_string_custom_property(_VERSION, str(found.number))

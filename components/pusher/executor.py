"""TFX's own Pusher executor, made atomic, and mindful of what is there already."""

import json
import uuid
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.components.pusher import executor as tfx_pusher
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, proto_utils

from results import versions
from results.metadata import WARNING, WITHDRAWN

KEEP_VERSIONS = "keep_versions"
IN_USE = "in_use"

_DESTINATION = standard_component_specs.PUSH_DESTINATION_KEY


class Executor(tfx_pusher.Executor):
    """Copies to a staging folder beside the versions, then renames.

    TFX's executor copies file by file into `<base>/<version>`, so a run that is killed leaves half
    a version for the model server to find. A name that is no number is nothing to a model server.

    A model that is served already is not pushed a second time, and one that was rolled back is not
    pushed again. After a push, old versions are removed; see `results.versions.prune`.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See `tfx.components.pusher.executor.Executor.Do`."""
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[_DESTINATION], destination)
        base = destination.filesystem.base_directory
        versions.clear_leftovers(Path(base))
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        if self.CheckBlessing(input_dict) and self._is_there(input_dict, Path(base), pushed):
            return
        staging = f"{base}/{versions.STAGING}{uuid.uuid4().hex}"
        destination.filesystem.base_directory = staging
        staged = {**exec_properties, _DESTINATION: proto_utils.proto_to_json(destination)}
        super().Do(input_dict, output_dict, staged)
        if pushed.get_int_custom_property("pushed"):
            version = pushed.get_string_custom_property("pushed_version")
            target = f"{base}/{version}"
            fileio.rename(f"{staging}/{version}", target)
            pushed.set_string_custom_property("pushed_destination", target)
            fileio.rmtree(staging)
            config = json.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY]) or {}
            removed = versions.prune(
                Path(base), config.get(KEEP_VERSIONS, 0), config.get(IN_USE, ())
            )
            if removed:
                logging.info("Removed old versions: %s", ", ".join(map(str, removed)))

    def _is_there(
        self, input_dict: dict[str, list[types.Artifact]], base: Path, pushed: types.Artifact
    ) -> bool:
        """Marks, and returns whether, the very same model is served, or was rolled back."""
        model = Path(self.GetModelPath(input_dict))
        found = versions.list_versions(base)
        served = versions.served(found)
        if served and versions.is_same_model(served.path, model):
            logging.info("Version %d is this very model: nothing to push.", served.number)
            io_utils.copy_dir(str(model), pushed.uri)
            self._MarkPushed(pushed, str(served.path), str(served.number))
            return True
        withdrawn = versions.rolled_back(found, model)
        if withdrawn is None:
            return False
        pushed.set_string_custom_property(
            WARNING,
            "this very model was rolled back, and is not pushed again; serve it with "
            f"`dexmatch rollback --to {withdrawn.number}`",
        )
        pushed.set_int_custom_property(WITHDRAWN, withdrawn.number)
        self._MarkNotPushed(pushed)
        return True

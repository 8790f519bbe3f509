"""TFX's own Pusher executor, made atomic."""

import uuid
from typing import Any

from tfx import types
from tfx.components.pusher import executor as tfx_pusher
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

_DESTINATION = standard_component_specs.PUSH_DESTINATION_KEY
_STAGING = ".staging-"


class Executor(tfx_pusher.Executor):
    """Copies to a staging folder beside the versions, then renames.

    TFX's executor copies file by file into `<base>/<version>`, so a run that is killed leaves half
    a version for the model server to find. A name that is no number is nothing to a model server.
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
        _clear_staging(base)
        staging = f"{base}/{_STAGING}{uuid.uuid4().hex}"
        destination.filesystem.base_directory = staging
        staged = {**exec_properties, _DESTINATION: proto_utils.proto_to_json(destination)}
        super().Do(input_dict, output_dict, staged)
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        if pushed.get_int_custom_property("pushed"):
            version = pushed.get_string_custom_property("pushed_version")
            target = f"{base}/{version}"
            fileio.rename(f"{staging}/{version}", target)
            pushed.set_string_custom_property("pushed_destination", target)
            fileio.rmtree(staging)


def _clear_staging(base: str) -> None:
    """Removes what a killed push left behind."""
    for leftover in fileio.glob(f"{base}/{_STAGING}*"):
        fileio.rmtree(leftover)

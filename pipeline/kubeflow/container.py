"""What a container runs: TFX's own entrypoint, told what it needs on Kubeflow as on Vertex AI.

TFX's entrypoint is written for Vertex AI as it was, and for executors that open object stores
themselves. Ours read and write folders. So

- artifacts are named by the folders where Kubeflow's launcher puts them and fetches them from, and
  where Vertex AI mounts Cloud Storage, and by their addresses again in what is told of the outputs;
- inputs get back their types, which Kubeflow forgets: they stand in the component's specification;
- but where Beam's jobs go to Dataflow, the executors that have some keep the addresses: its workers
  have no such folders;
- a model without files is none, as if a resolver had not found one;
- the log, which Kubeflow counts among the outputs, is left to it.
"""

import argparse
import json
import sys
import traceback
from typing import Any

import yaml
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.types import standard_artifacts
from tfx.utils import import_utils, path_utils

from core.child_processes import child_environment_applied
from core.config import DATAFLOW
from core.object_stores import local_path
from pipeline import execution
from pipeline.beam.options import RUNNERS, option

_LOG = "executor-logs"
_MODEL = compiler_utils.get_artifact_title(standard_artifacts.Model)
_Json = dict[str, Any]


def main() -> None:
    """Runs a component's executor; the arguments are those of TFX's entrypoint."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    arguments, beam_arguments = parser.parse_known_args()
    invocation = json.loads(arguments.json_serialized_invocation_args)
    inputs_spec = json.loads(arguments.json_serialized_inputs_spec_args)
    in_folders = not _has_distant_workers(arguments.executor_class_path, beam_arguments)
    addresses = prepare(invocation, inputs_spec, in_folders=in_folders)
    arguments.json_serialized_invocation_args = json.dumps(invocation)
    try:
        with child_environment_applied():
            kubeflow_v2_run_executor.main((arguments, beam_arguments))
    except Exception as error:
        traceback.print_exc()
        mistake = execution.users_mistake(error)
        sys.exit(f"Error: {mistake}" if mistake else 1)
    restore(invocation["outputs"]["outputFile"], addresses)


def _has_distant_workers(executor_class_path: str, beam_arguments: list[str]) -> bool:
    """Whether an executor's work is done on Dataflow."""
    return option(beam_arguments, "runner") == RUNNERS[DATAFLOW] and issubclass(
        import_utils.import_class_by_path(executor_class_path), BaseBeamExecutor
    )


def prepare(invocation: _Json, inputs_spec: _Json, *, in_folders: bool = True) -> dict[str, str]:
    """Changes an ExecutorInput of Kubeflow's to one that TFX's entrypoint and executors can read.

    Args:
      invocation: the ExecutorInput as JSON; changed in place.
      inputs_spec: the component's ComponentInputsSpec as JSON.
      in_folders: whether to name artifacts by folders, and not by their addresses.

    Returns:
      Where each artifact lies, to its address.
    """
    outputs = invocation["outputs"].setdefault("artifacts", {})
    outputs.pop(_LOG, None)
    inputs = invocation.setdefault("inputs", {}).get("artifacts", {})
    for name, found in inputs.items():
        for artifact in found.get("artifacts", ()):
            artifact["type"] = inputs_spec["artifacts"][name]["artifactType"]
            # TFX knows artifacts by their names.
            artifact["name"] = artifact.get("name") or artifact["uri"]
    addresses = {}
    for found in (*inputs.values(), *outputs.values()):
        for artifact in found.get("artifacts", ()):
            address = artifact["uri"]
            if in_folders:
                artifact["uri"] = local_path(address)
            addresses[artifact["uri"]] = address
    for found in inputs.values():
        found["artifacts"] = [each for each in found.get("artifacts", ()) if not _is_no_model(each)]
    return addresses


def _is_no_model(artifact: _Json) -> bool:
    schema = yaml.safe_load(artifact["type"].get("instanceSchema", "")) or {}
    saved = path_utils.serving_model_dir(local_path(artifact["uri"]))
    return schema.get("title") == _MODEL and not fileio.exists(saved)


def restore(output_file: str, addresses: dict[str, str]) -> None:
    """Names artifacts by their addresses in what TFX's entrypoint tells of them.

    Args:
      output_file: an ExecutorOutput as JSON.
      addresses: as `prepare` returned them.
    """
    with fileio.open(output_file) as file:
        told = json.load(file)
    for found in told.get("artifacts", {}).values():
        for artifact in found["artifacts"]:
            artifact["uri"] = addresses[artifact["uri"]]
            for name, value in artifact.get("metadata", {}).items():
                if isinstance(value, str):  # A ModelBlessing says of what.
                    artifact["metadata"][name] = addresses.get(value, value)
    with fileio.open(output_file, "w") as file:
        json.dump(told, file)


if __name__ == "__main__":
    main()

"""Compiles the pipeline to what Kubeflow Pipelines and Vertex AI are given."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
    KubeflowV2DagRunner,
    KubeflowV2DagRunnerConfig,
)
from tfx.orchestration.pipeline import Pipeline

from components.served_model.component import ServedModel
from core import config as configs
from core.config import Config
from core.errors import DexmatchError
from core.user_functions import importable
from data.dataset import Dataset
from pipeline import execution
from pipeline.beam import options
from pipeline.kubeflow.places import KUBEFLOW, VERTEX, Places
from pipeline.kubeflow.resources import Resources
from pipeline.pipeline import create_pipeline
from results.workspace import Workspace

DATASET = "dataset"
"""The parameter that names the data set's folder, for whoever submits the pipeline."""

COMMAND = ("python", "-P", "-m", "pipeline.kubeflow.container")
"""What each container runs. Nothing of its current folder is imported."""

LEFT_OUT = (
    "in the report, which components ran or were cached, and the run before: the records of runs "
    "are the cluster's"
)
"""What a run on this machine has, and a compiled pipeline has not."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_DIGEST = "dataset_digest"
_EXECUTOR = "_executor"


def compile_pipeline(
    config: Config, places: Places, *, image: str, resources: Resources, data_uri: str | None
) -> str:
    """Compiles the very pipeline that `dexmatch run` runs.

    Args:
      config: a validated configuration with `data.dataset` set; the data set is read here, for its
        columns.
      places: where the containers have things.
      image: of the containers, with dexmatch and its extra `kfp` in it.
      resources: what they may use.
      data_uri: where they find the data set, if not by its path from this folder.

    Returns:
      YAML, the same for the same pipeline: a PipelineSpec of kfp-pipeline-spec, and where a volume
      is mounted, a PlatformSpec.

    Raises:
      DexmatchError: something is asked for that the target does not have, or that is wrong anyway.
    """
    _check_target(config, places)
    options.check(config.run)
    # In the containers they are installed.
    with importable(Path(config.run.code), config.user_functions):
        dataset = execution.check(config)
        dataset_uri = places.dataset(config.data.dataset, data_uri)
        arguments = options.arguments(config.run, image=_worker_image(config, image))
        pipeline = _compose(config, places, dataset, dataset_uri, arguments)
    resources.check([each.id for each in pipeline.components])
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(
            default_image=image,
            default_commands=list(COMMAND),
            # The one that Kubeflow takes; Vertex AI takes both.
            use_pipeline_spec_2_1=True,
        )
    )
    # What TFX would write itself has neither the root nor the parameter's default, and no limits
    # for ExampleGens.
    spec = runner.run(pipeline, write_out=False)["pipelineSpec"]
    if places.root:
        spec["defaultPipelineRoot"] = places.root
    spec["root"]["inputDefinitions"]["parameters"][DATASET] |= {
        "defaultValue": dataset_uri,
        "description": "folder written by dexmatch data import, as the containers find it",
    }
    executors = spec["deploymentSpec"]["executors"]
    containers = {
        label: each["container"] for label, each in executors.items() if "container" in each
    }
    for label, container in containers.items():
        if limits := resources.of(label.removesuffix(_EXECUTOR)):
            container["resources"] = limits
    for node in pipeline.components:
        if isinstance(node, ServedModel):
            spec["root"]["dag"]["tasks"][node.id].pop("cachingOptions", None)
    documents = [spec]
    if places.claim:
        documents.append(_platform(places, list(containers)))
    return yaml.safe_dump_all(documents, sort_keys=True)


def _check_target(config: Config, places: Places) -> None:
    if not _NAME.fullmatch(config.run.name):
        raise DexmatchError(
            f"run.name: {config.run.name}: {places.target} takes lower-case letters, digits and "
            "hyphens: --set run.name=my-model"
        )
    if config.serving.validator == "infra_validator":
        raise DexmatchError(
            "serving.validator: TFX's InfraValidator does not run in a container of "
            f'{places.target}: take "serving_validator", or "none"'
        )
    if config.trainer.strategy == "multi_worker":
        raise DexmatchError(
            f"trainer.strategy: multi_worker: a component of {places.target} is one container; "
            '"mirrored" uses all accelerators of it'
        )
    if config.run.runner in options.CLUSTERS:
        raise DexmatchError(
            f"run.runner: {config.run.runner}: its workers do not reach the folders of a container "
            f'of {places.target}: take "direct"{", or dataflow" if places.target == VERTEX else ""}'
        )
    if config.run.runner == configs.DATAFLOW and places.target != VERTEX:
        raise DexmatchError(
            f"run.runner: dataflow: artifacts of {places.target} are folders of a container, which "
            'workers of Dataflow do not reach: take "direct", or --target vertex'
        )
    if config.tuner.reuse and places.target == KUBEFLOW:
        raise DexmatchError(
            f"tuner.reuse: {KUBEFLOW} cannot look for what earlier runs made (it has no "
            "resolvers); write what was found into the configuration"
        )


def _worker_image(config: Config, image: str) -> str:
    """Of Beam's workers: the containers' own for Dataflow; others run in the container."""
    return image if config.run.runner == configs.DATAFLOW else options.LOCAL_IMAGE


def _compose(
    config: Config, places: Places, dataset: Dataset, dataset_uri: str, arguments: Sequence[str]
) -> Pipeline:
    inputs = places.of_config(config)
    here = Workspace.from_config(config)
    pipeline = create_pipeline(
        inputs,
        dataset=RuntimeParameter(name=DATASET, ptype=str, default=dataset_uri),
        dataset_name=dataset.path.name,
        metadata_columns=[column.name for column in dataset.low_cardinality_columns()],
        pipeline_root=places.root,
        metadata_path=None,
        checkpoints_directory=f"{inputs.run.workspace}/{inputs.run.name}/checkpoints",
        serving_directory=f"{inputs.pusher.directory}/{inputs.run.name}",
        batching_parameters=execution.batching_parameters(here),
        pinned_versions=execution.pinned_versions(here),
        baseline_strategy=None,
        beam_arguments=arguments,
    )
    # Kubeflow's cache sees parameters, and not what lies in the folder that one names.
    example_gen = next(each for each in pipeline.components if DATASET in _parameters(each))
    example_gen.exec_properties[_DIGEST] = dataset.digest
    return pipeline


def _parameters(node: Any) -> set[str]:
    """The runtime parameters that a node is given."""
    values = node.exec_properties.values()
    return {each.name for each in values if isinstance(each, RuntimeParameter)}


def _platform(places: Places, labels: list[str]) -> dict[str, Any]:
    """A PlatformSpec of Kubeflow's that mounts the volume in every container."""
    executors = {
        label: {
            "pvcMount": [
                {
                    "mountPath": places.mount,
                    # Twice: for earlier releases of Kubeflow, and for today's.
                    "constant": places.claim,
                    "pvcNameParameter": {"runtimeValue": {"constant": places.claim}},
                }
            ]
        }
        for label in labels
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}

"""`dexmatch compile`."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from core import terminal
from core.errors import DexmatchError
from core.files import write_atomically
from pipeline.commands.run import ConfigOption, SetOption, load_config
from pipeline.commands.runner_options import BeamArgOption

_TEXT = (".yaml", ".yml")
_SPEC = "kfp.pipeline_spec"


def compile_(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.yaml", help="The file to write.")
    ],
    target: Annotated[
        str, typer.Option(help="[bold]kubeflow[/] (Pipelines v2) or [bold]vertex[/] (Vertex AI).")
    ] = "kubeflow",
    data: Annotated[
        str | None,
        typer.Option(help="Data set folder, as written by [bold]dexmatch data import[/]."),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    image: Annotated[
        str | None, typer.Option(help="Image of the containers, built from our Dockerfile.")
    ] = None,
    pipeline_root: Annotated[
        str | None,
        typer.Option(
            metavar="gs://…",
            help="Where artifacts are kept: gs://, s3:// or minio://. Kubeflow has one of its own.",
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="What stands for this folder in the containers, with the data, checkpoints and "
            "pushed models.",
            show_default="where the volume is; on Vertex AI the pipeline root",
        ),
    ] = None,
    volume: Annotated[
        str | None,
        typer.Option(
            metavar="CLAIM:FOLDER",
            help="PersistentVolumeClaim to mount in every container. Kubeflow only.",
        ),
    ] = None,
    data_uri: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Where containers find the data set.",
            show_default="as --data, in --project",
        ),
    ] = None,
    cpu: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[COMPONENT=]N", help="Processors for all, or for one component; repeatable."
        ),
    ] = None,
    memory: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[COMPONENT=]16G", help="Memory for all, or for one component; repeatable."
        ),
    ] = None,
    accelerator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[COMPONENT=]TYPE[:N]",
            help="Accelerators, as in Trainer=NVIDIA_L4:1 (Vertex AI) or Trainer=nvidia.com/gpu "
            "(Kubeflow); repeatable.",
        ),
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option(
            help="What does the Beam jobs: [bold]direct[/] (the containers), or on Vertex AI "
            "[bold]dataflow[/]."
        ),
    ] = None,
    beam_arg: BeamArgOption = None,
) -> None:
    """Compiles the pipeline for Kubeflow Pipelines v2 or Vertex AI.

    The data set is read here, for its columns; containers find it in the folder
    that stands for this one, by the same path. Whoever submits the pipeline may
    name another by the parameter dataset. All else is fixed when compiling.

    Examples:

        dexmatch compile --data datasets/mine --image registry/dexmatch:1
          --volume dexmatch:/mnt/dexmatch --cpu 4 --memory Trainer=16G -o pipeline.yaml

        dexmatch compile --target vertex --data datasets/mine --image registry/dexmatch:1
          --pipeline-root gs://bucket/dexmatch -o pipeline.yaml
    """
    if output.suffix not in _TEXT or not output.parent.is_dir():
        raise DexmatchError(
            f"--output {output}: name a file that ends in .yaml, in a folder that exists"
        )
    if not image:
        raise DexmatchError(
            "--image: name the image that the containers run, as in --image registry/dexmatch:1; "
            "build it from the Dockerfile of dexmatch and push it where the cluster finds it"
        )
    if not _has_extra():
        raise DexmatchError("kfp-pipeline-spec is not installed: pip install 'dexmatch[kfp]'")
    from pipeline import logs
    from pipeline.kubeflow.places import Places
    from pipeline.kubeflow.resources import Resources

    places = Places.asked(target, pipeline_root, project, volume)
    resources = Resources.asked(cpu or (), memory or (), accelerator or ())
    settings = load_config(config, set_, data, beam_arg, runner=runner)
    with logs.hushed():
        # TensorFlow and TFX take seconds to load.
        from pipeline.kubeflow import compiling

        text = compiling.compile_pipeline(
            settings, places, image=image, resources=resources, data_uri=data_uri
        )
    write_atomically(output, text)
    terminal.say(f"Left out: {compiling.LEFT_OUT}")
    terminal.say(f"Written: {output}")


def _has_extra() -> bool:
    try:
        return importlib.util.find_spec(_SPEC) is not None
    except ModuleNotFoundError:  # Not even the package that it is in.
        return False

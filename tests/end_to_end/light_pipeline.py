"""A pipeline of a few components that learn nothing, run as `dexmatch run` runs the whole one.

    python -c "import light_pipeline; light_pipeline.main()" CONFIGURATION...

runs it once for each TOML file.
"""

import os
import sys
import time
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from core import config as configs
from pipeline import execution
from pipeline.baseline import CANDIDATE, BaselineStrategy
from pipeline.pipeline import metadata_connection

HOLD = "HOLD"
"""The environment variable that names a file which `Train` makes, and then waits to be killed."""


@component
def Gather(examples: OutputArtifact[standard_artifacts.Examples], input_base: Parameter[str]):
    Path(examples.uri, "examples").write_text(input_base)


@component
def Train(
    examples: InputArtifact[standard_artifacts.Examples],
    model: OutputArtifact[standard_artifacts.Model],
    seed: Parameter[int],
):
    if HOLD in os.environ:
        Path(os.environ[HOLD]).touch()
        time.sleep(600)
    folder = Path(model.uri, "Format-Serving")
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text(f"{Path(examples.uri, 'examples').read_text()} {seed}")


@component
def Compare(
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    settings: Parameter[str],
):
    blessing.set_int_custom_property("blessed", 1)
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    Path(blessing.uri, "BLESSED").touch()


def compose(config, inputs, dataset, workspace):
    gather = Gather(input_base=inputs.data.dataset)
    train = Train(examples=gather.outputs["examples"], seed=config.trainer.seed)
    model = train.outputs["model"]
    baseline = Resolver(
        strategy_class=BaselineStrategy,
        config={"serving_directory": str(workspace.serving)},
        model=Channel(type=standard_artifacts.Model),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing),
        **{CANDIDATE: model},
    ).with_id("latest_blessed_model")
    compare = Compare(model=model, settings='{"nested": "{\\"prö\\": \\"\\\\\\\\\\"}"}')
    compare.add_upstream_node(baseline)
    metadata = workspace.inside(workspace.metadata)
    return Pipeline(
        pipeline_name=config.run.name,
        pipeline_root=workspace.inside(workspace.artifacts),
        components=[gather, train, baseline, compare],
        enable_cache=config.run.cache,
        metadata_connection_config=metadata_connection(metadata, workspace.shared),
    )


def main():
    for path in sys.argv[1:]:
        outcome = execution.execute(configs.load(Path(path)), compose=compose)
        # There is no evaluation to be read: all before it went well.
        assert outcome.error is None, outcome.error

"""What Dataflow would be sent: job graphs, made by Beam's own DataflowRunner in a dry run."""

import base64
import bz2
import os
import re
import shutil
import zlib

import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
)
from apache_beam.portability.api import beam_runner_api_pb2
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import dependency_utils

from components.evaluator import executor as evaluator
from core import config as configs
from core import features
from pipeline.beam import options
from pipeline.pipeline import create_pipeline

runner = pytest.importorskip(
    "apache_beam.runners.dataflow.dataflow_runner", reason="needs apache-beam[gcp]"
)

pytestmark = pytest.mark.slow

IMAGE = "registry/dexmatch:1"
SETTINGS = {
    "project": "mine",
    "region": "europe-west1",
    "temp_location": "gs://bucket/temp",
}
COMPONENTS = ("PairSampler", "LeakageGuard", "StatisticsGen", "Transform", "Evaluator")
TEXTS = (features.ID, features.GROUP, features.CAPTION, features.IMAGE, "color")


class _Stop(Exception):
    """The graph is made."""


@pytest.fixture(scope="module")
def root(tmp_path_factory, tiny_models):
    """Stands for the bucket: artifacts that components read when they make their graphs."""
    folder = tmp_path_factory.mktemp("bucket")
    example = tf.train.Example()
    for name in TEXTS:
        example.features.feature[name].bytes_list.value.append(b"a")
    example.features.feature[features.LABEL].int64_list.value.append(1)
    for split in ("train", "val", "test"):
        path = folder / "examples" / f"Split-{split}"
        path.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path / "data.gz"), "GZIP") as writer:
            writer.write(example.SerializeToString())
    schema = schema_pb2.Schema()
    for name in (*TEXTS, features.LABEL):
        feature = schema.feature.add(name=name, type="INT" if name == features.LABEL else "BYTES")
        feature.presence.min_fraction = 1
        feature.shape.dim.add(size=1)
    (folder / "schema").mkdir()
    (folder / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    shutil.copytree(tiny_models.first / "1", folder / "model" / "Format-Serving")
    return folder


@pytest.fixture(scope="module")
def graphs(root):
    """Name of a component to the pipeline and options that its Beam job would send."""
    asked = [f"--{name}={value}" for name, value in SETTINGS.items()]
    settings = configs.load(
        None,
        [
            "run.runner=dataflow",
            f"run.beam_args={asked}",
            "model.attributes=[]",
            "evaluator.slice_columns=[]",
            # Resampling would make twenty times as many stages.
            "evaluator.confidence=none",
        ],
    )
    arguments = options.arguments(settings.run, image=IMAGE)
    pipeline = create_pipeline(
        settings,
        dataset=str(root / "data"),
        dataset_name="mine",
        metadata_columns=["color"],
        pipeline_root=str(root),
        metadata_path=None,
        checkpoints_directory=str(root),
        serving_directory=str(root),
        baseline_strategy=None,
        beam_arguments=arguments,
    )
    nodes = {node.id: node for node in pipeline.components}
    given = {
        "examples": standard_artifacts.Examples(),
        "schema": standard_artifacts.Schema(),
        "model": standard_artifacts.Model(),
    }
    for name, artifact in given.items():
        artifact.uri = str(root / name)
    given["examples"].split_names = artifact_utils.encode_split_names(["train", "val", "test"])
    given["sampled_examples"] = given["examples"]
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        run_pipeline = runner.DataflowRunner.run_pipeline

        def capture(self, asked, options, pipeline_proto=None):
            run_pipeline(self, asked, options, pipeline_proto)
            made["graph"] = self.proto_pipeline, options
            raise _Stop

        patch.setattr(runner.DataflowRunner, "run_pipeline", capture)
        # What is of interest is TFMA's job, not the count of pairs before it.
        patch.setattr(evaluator.Executor, "_count", lambda *_: {})
        found = {}
        for name in COMPONENTS:
            node = nodes[name]
            outputs = {}
            for key, channel in node.outputs.items():
                artifact = channel.type()
                artifact.uri = str(root / name / key)
                os.makedirs(artifact.uri)
                outputs[key] = [artifact]
            inputs = {key: [given[key]] for key in node.inputs if key in given}
            context = BaseBeamExecutor.Context(
                # Without a cloud.
                beam_pipeline_args=[*pipeline.beam_pipeline_args, "--dry_run=True", "--no_auth"],
                tmp_dir=str(root / "temp"),
                unique_id="1",
            )
            with pytest.raises(_Stop):
                node.executor_spec.executor_class(context).Do(
                    inputs, outputs, dict(node.exec_properties)
                )
            found[name] = made.pop("graph")
    return found


@pytest.fixture(params=COMPONENTS)
def graph(request, graphs):
    return graphs[request.param]


def test_workers_run_in_the_image_and_install_nothing(graph):
    pipeline, _ = graph
    (environment,) = pipeline.components.environments.values()
    payload = beam_runner_api_pb2.DockerPayload.FromString(environment.payload)
    assert payload.container_image == IMAGE
    staged = [
        beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(each.role_payload).staged_name
        for each in environment.dependencies
    ]
    # Beam's note of what is installed here; it is for people to read.
    assert set(staged) <= {"submission_environment_dependencies.txt"}


def test_workers_import_tfx_first(graph):
    _, asked = graph
    assert "tfx" in asked.view_as(SetupOptions).beam_plugins


def test_it_goes_where_the_options_say(graph):
    of_cloud = graph[1].view_as(GoogleCloudOptions)
    for name, value in SETTINGS.items():  # Each job gets a folder of its own.
        assert getattr(of_cloud, name).startswith(value)
    assert graph[1].view_as(StandardOptions).runner == "DataflowRunner"


def unpickled(payload: bytes) -> bytes:
    """What Beam packed into a payload, as far as it did."""
    for unpack in bz2.decompress, zlib.decompress:
        try:
            return unpack(base64.b64decode(payload, validate=True))
        except (ValueError, OSError, zlib.error):
            continue
    return payload


def payloads(message):
    """All bytes in a message, and in what these hold packed."""
    for field, value in message.ListFields():
        values = value.values() if field.message_type and hasattr(value, "values") else value
        for each in values if field.is_repeated or hasattr(value, "values") else [value]:
            if isinstance(each, bytes):
                yield each
                yield unpickled(each)
                payload = beam_runner_api_pb2.ParDoPayload()
                try:
                    payload.ParseFromString(each)
                except Exception:
                    continue
                yield unpickled(payload.do_fn.payload)
            elif hasattr(each, "ListFields"):
                yield from payloads(each)


def test_workers_are_told_of_no_file_but_the_artifacts(graph, root):
    pipeline, _ = graph
    named = set()
    for payload in payloads(pipeline.components):
        named |= set(re.findall(rb"(?:/[\w.+=@-]+){2,}", payload))
    texts = {each.decode() for each in named}
    assert any(each.startswith(str(root)) for each in texts)
    # Code that is pickled tells where it was written.
    strange = {
        each
        for each in texts
        if os.path.exists(each) and not each.startswith(str(root)) and not each.endswith(".py")
    }
    assert not strange


def test_tfx_does_not_pack_itself(graphs, monkeypatch):
    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: pytest.fail("packed"))
    arguments = options.arguments(configs.RunConfig(runner="dataflow"), image=IMAGE)
    assert dependency_utils.make_beam_dependency_flags(arguments) == arguments
    assert PipelineOptions(arguments).view_as(StandardOptions).runner == "DataflowRunner"

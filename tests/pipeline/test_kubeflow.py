"""What `dexmatch compile` writes, read as Kubeflow's own libraries read it."""

import contextlib
import json
import sys

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
from tfx.utils import import_utils

import components as ours
from core import config as configs
from core.errors import DexmatchError
from pipeline.kubeflow.places import Places
from pipeline.kubeflow.resources import Resources
from pipeline.pipeline import create_pipeline

IMAGE = "registry/dexmatch:1"
BASELINE = "latest_blessed_model"
KUBEFLOW = ("--volume", "claim:/mnt/shared", "--cpu", "2", "--memory", "8G")
VERTEX = ("--target", "vertex", "--pipeline-root", "gs://bucket/dexmatch")


@pytest.fixture(scope="module")
def compile_(project, ask, tmp_path_factory):
    """Compiles from the project's folder; returns the file."""
    written = tmp_path_factory.mktemp("written")

    def compile_(*arguments, data="datasets/mine", image=IMAGE, output="pipeline.yaml"):
        of_image = ("--image", image) if image else ()
        with contextlib.chdir(project):
            ask("compile", "--data", data, "-o", written / output, *of_image, *arguments)
        return written / output

    return compile_


def documents(file):
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def kubeflow(compile_):
    return documents(compile_(*KUBEFLOW, "--memory", "Trainer=16Gi", "--accelerator", "Trainer=L4"))


@pytest.fixture(scope="module")
def vertex(compile_):
    (spec,) = documents(compile_(*VERTEX, "--set", "tuner.trials=2"))
    return spec


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The components of a run on this machine, by their ids."""
    folder = tmp_path_factory.mktemp("local")

    def local(*overrides):
        pipeline = create_pipeline(
            configs.load(None, overrides),
            dataset=str(folder),
            dataset_name="mine",
            metadata_columns=["color"],
            pipeline_root=str(folder),
            metadata_path=str(folder / "metadata.sqlite"),
            checkpoints_directory=str(folder),
            serving_directory=str(folder),
        )
        return {each.id: each for each in pipeline.components}

    return local


def containers(spec):
    executors = spec["deploymentSpec"]["executors"]
    return {
        name: executors[component["executorLabel"]]["container"]
        for name, component in spec["components"].items()
        if "container" in executors[component["executorLabel"]]
    }


def waits_for(spec):
    tasks = spec["root"]["dag"]["tasks"]
    return {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()}


def parameter(spec, task, name):
    return spec["root"]["dag"]["tasks"][task]["inputs"]["parameters"][name]


def upstream(nodes):
    return {name: {each.id for each in node.upstream_nodes} for name, node in nodes.items()}


def test_kubeflows_libraries_read_it(compile_, kubeflow, vertex):
    for document in kubeflow[0], vertex:
        spec = json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
        assert spec.schema_version == "2.1.0"
        assert spec.pipeline_info.name == "dexmatch"
        json_format.ParseDict(
            document["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()
        )
    json_format.ParseDict(kubeflow[1], pipeline_spec_pb2.PlatformSpec())
    loaded = components.load_component_from_file(str(compile_(*KUBEFLOW)))
    (dataset,) = loaded.component_spec.inputs.values()
    assert (dataset.type, dataset.default) == ("String", "/mnt/shared/datasets/mine")


@pytest.mark.parametrize("target", ["kubeflow", "vertex"])
def test_it_is_the_pipeline_of_a_run_but_for_who_finds_the_baseline(
    target, kubeflow, vertex, local
):
    nodes = upstream(local() if target == "kubeflow" else local("tuner.trials=2"))
    renamed = {each: "ServedModel" if each == BASELINE else each for each in nodes}
    assert waits_for(kubeflow[0] if target == "kubeflow" else vertex) == {
        renamed[name]: {renamed[each] for each in others} for name, others in nodes.items()
    }


def test_what_is_served_is_looked_for_in_every_run(kubeflow):
    tasks = kubeflow[0]["root"]["dag"]["tasks"]
    assert [name for name, task in tasks.items() if "cachingOptions" not in task] == ["ServedModel"]
    source = tasks["Evaluator"]["inputs"]["artifacts"]["baseline_model"]["taskOutputArtifact"]
    assert source == {"producerTask": "ServedModel", "outputArtifactKey": "model"}


def test_a_training_may_go_on_from_what_is_served(compile_):
    spec, _ = documents(compile_(*KUBEFLOW, "--set", "model.weights=last_blessed"))
    source = spec["root"]["dag"]["tasks"]["Trainer"]["inputs"]["artifacts"]["base_model"]
    assert source["taskOutputArtifact"]["producerTask"] == "ServedModel"


def test_each_container_runs_its_executor_in_the_image(kubeflow, local):
    found = containers(kubeflow[0])
    for name, node in local().items():
        if isinstance(node, BaseComponent):
            container = found[name]
            assert container["image"] == IMAGE
            assert container["command"] == ["python", "-P", "-m", "pipeline.kubeflow.container"]
            arguments = container["args"]
            class_path = arguments[arguments.index("--executor_class_path") + 1]
            assert isinstance(node.executor_spec, ExecutorClassSpec)
            assert (
                import_utils.import_class_by_path(class_path) is node.executor_spec.executor_class
            )
            assert "--sdk_container_image=local" in arguments


def test_dataflow_is_given_the_containers_image_and_addresses_in_cloud_storage(compile_):
    options = ("--project=mine", "--region=here", "--temp_location=gs://bucket/temp")
    (spec,) = documents(
        compile_(
            *VERTEX,
            *("--runner", "dataflow", "--set", "bulk.dataset=datasets/mine"),
            *(f"--beam-arg={each}" for each in options),
        )
    )
    for container in containers(spec).values():
        told = container["args"]
        assert {"--runner=DataflowRunner", f"--sdk_container_image={IMAGE}", *options} <= set(told)
    bulk = constants(spec, "BulkExampleGen")["input_base"]
    assert bulk == "gs://bucket/dexmatch/datasets/mine"


def test_containers_are_told_the_same_as_components_of_a_run(local):
    """Of a list or a dict, they would get the JSON."""
    for name, node in local("tuner.trials=2", "bulk.dataset=any").items():
        if isinstance(node, BaseComponent):
            for key, value in node.exec_properties.items():
                assert value is None or isinstance(value, (str, int, float)), (name, key)


def test_limits_are_of_one_component_or_of_all(kubeflow):
    found = {name: each["resources"] for name, each in containers(kubeflow[0]).items()}
    trainer = found.pop("Trainer")
    of_all = {
        "cpuLimit": 2,
        "resourceCpuLimit": "2",
        "memoryLimit": 8,
        "resourceMemoryLimit": "8G",
    }
    assert all(each == of_all for each in found.values())
    assert trainer["resourceMemoryLimit"] == "16Gi"
    assert trainer["memoryLimit"] == pytest.approx(17.18, abs=0.01)
    assert trainer["accelerator"] == {
        "type": "L4",
        "count": "1",
        "resourceType": "L4",
        "resourceCount": "1",
    }


def test_the_volume_is_in_every_container(kubeflow):
    spec, platform = kubeflow
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == spec["deploymentSpec"]["executors"].keys()
    for executor in executors.values():
        (mount,) = executor["pvcMount"]
        assert (mount["mountPath"], mount["constant"]) == ("/mnt/shared", "claim")


def constants(spec, task):
    given = spec["root"]["dag"]["tasks"][task]["inputs"]["parameters"]
    return {
        name: each["runtimeValue"]["constant"]
        for name, each in given.items()
        if "runtimeValue" in each
    }


@pytest.mark.parametrize(
    ("target", "shared", "dataset"),
    [
        ("kubeflow", "/mnt/shared", "/mnt/shared/datasets/mine"),
        ("vertex", "/gcs/bucket/dexmatch", "gs://bucket/dexmatch/datasets/mine"),
    ],
)
def test_what_is_shared_is_in_the_folder_that_stands_for_this_one(
    kubeflow, vertex, target, shared, dataset
):
    spec = {"kubeflow": kubeflow[0], "vertex": vertex}[target]
    declared = spec["root"]["inputDefinitions"]["parameters"]
    assert {name: each["defaultValue"] for name, each in declared.items()} == {"dataset": dataset}
    base = parameter(spec, "ImportExampleGen", "input_base")
    assert base == {"componentInputParameter": "dataset"}
    training = json.loads(constants(spec, "Trainer")["custom_config"])
    assert training["checkpoints"] == f"{shared}/runs/dexmatch/checkpoints"
    destination = json.loads(constants(spec, "Pusher")["push_destination"])
    pushed = destination["filesystem"]["base_directory"]
    assert pushed == f"{shared}/serving_model/dexmatch"
    assert spec.get("defaultPipelineRoot") == (
        "gs://bucket/dexmatch" if target == "vertex" else None
    )


def test_nothing_of_this_machine_is_compiled_in(project, compile_):
    file = compile_(*KUBEFLOW, "--set", f"bulk.dataset={project}/datasets/mine")
    assert str(project) not in file.read_text(encoding="utf-8")
    spec, _ = documents(file)
    assert constants(spec, "BulkExampleGen")["input_base"] == "/mnt/shared/datasets/mine"


def test_the_report_does_without_records(kubeflow):
    assert "metadata_path" not in constants(kubeflow[0], "Report")


def test_kubeflows_cache_sees_what_the_data_set_holds(project, kubeflow):
    described = json.loads((project / "datasets" / "mine" / "dataset.json").read_text())
    assert constants(kubeflow[0], "ImportExampleGen")["dataset_digest"] == described["digest"]


def test_it_is_the_same_every_time(compile_):
    assert len({compile_(*KUBEFLOW).read_bytes() for _ in range(2)}) == 1


def test_what_is_left_out_is_said(project, ask, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    out = tmp_path / "out.yaml"
    told = ask("compile", "--data", "datasets/mine", "--image", IMAGE, "-o", out, *KUBEFLOW).stderr
    left_out, written = told.splitlines()
    assert left_out.startswith("Left out: in the report, ")
    assert written == f"Written: {out}"


@pytest.mark.parametrize("artifact_type", [getattr(ours, name) for name in ours.__all__])
def test_containers_find_our_types_by_their_names(artifact_type):
    schema = {"instanceSchema": compiler_utils.get_artifact_schema(artifact_type)}
    artifact = pipeline_spec_pb2.ArtifactList()
    json_format.ParseDict({"artifacts": [{"uri": "any", "type": schema}]}, artifact)
    found = kubeflow_v2_entrypoint_utils.parse_raw_artifact_dict({"key": artifact})
    assert type(found["key"][0]) is artifact_type


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "airflow"], "--target airflow: there are kubeflow and vertex"),
        ([], r"--project \(none\): name a folder that all containers share"),
        (["--project", "gs://bucket/x"], "--project gs://bucket/x: name a folder that all"),
        ([*KUBEFLOW, "--pipeline-root", "/mnt/x"], "keeps artifacts in an object store only"),
        (["--volume", "claim"], "--volume claim: name a PersistentVolumeClaim and a folder"),
        (["--target", "vertex"], r"--pipeline-root \(none\): Vertex AI keeps artifacts in Cloud"),
        ([*VERTEX, "--volume", "claim:/mnt/x"], "Vertex AI mounts no claims"),
        ([*KUBEFLOW, "--data-uri", "minio://x"], "--data-uri minio://x: name a folder in the"),
        ([*KUBEFLOW, "--cpu", "many"], "--cpu many: say something like 4, 500m or Trainer=16"),
        ([*KUBEFLOW, "--memory", "=4G"], "--memory =4G: say something like 16G"),
        ([*KUBEFLOW, "--cpu", "3"], "--cpu 3: 2 was said before"),
        ([*KUBEFLOW, "--cpu", "Train=4"], "Train: the pipeline has no such component; it has Imp"),
        ([*KUBEFLOW, "--set", "run.name=Mine_1"], "run.name: Mine_1: kubeflow takes lower-case"),
        (
            [*VERTEX, "--set", "trainer.strategy=multi_worker"],
            "a component of vertex is one container",
        ),
        ([*KUBEFLOW, "--set", "tuner.reuse=true"], "tuner.reuse: kubeflow cannot look for what"),
        (
            [*KUBEFLOW, "--set", "serving.validator=infra_validator"],
            "serving.validator: TFX's InfraValidator does not run in a container of kubeflow",
        ),
        (
            [*KUBEFLOW, "--set", "pusher.directory=/elsewhere"],
            "pusher.directory: /elsewhere: the containers have only what is in /mnt/shared",
        ),
        ([*VERTEX, "--runner", "flink"], "run.runner: flink: its workers do not reach the folders"),
        (
            [*KUBEFLOW, "--runner", "dataflow"],
            "run.runner: dataflow: artifacts of kubeflow are folders of a container",
        ),
        ([*VERTEX, "--runner", "dataflow"], "run.runner: dataflow needs --project: --beam-arg="),
        ([*KUBEFLOW, "--set", "data.dataset="], "datasets/none: not a dexmatch data set"),
    ],
)
def test_mistakes_are_told_in_one_line(compile_, arguments, message):
    data = "datasets/none" if "data.dataset=" in arguments else "datasets/mine"
    with pytest.raises(DexmatchError, match=message):
        compile_(*arguments, data=data)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"image": None}, "--image: name the image that the containers run"),
        ({"output": "pipeline.json"}, "pipeline.json: name a file that ends in .yaml"),
    ],
)
def test_what_is_missing_is_asked_for(compile_, asked, message):
    with pytest.raises(DexmatchError, match=message):
        compile_(*KUBEFLOW, **asked)


def test_data_that_no_container_finds_is_a_mistake(compile_, tmp_path, project):
    (tmp_path / "mine").symlink_to(project / "datasets" / "mine")
    with pytest.raises(
        DexmatchError, match=r"--data: .*/mine: the containers have only .*data-uri"
    ):
        compile_(*VERTEX, data=str(tmp_path / "mine"))
    (spec,) = documents(
        compile_(*VERTEX, "--data-uri", "gs://data/mine", data=str(tmp_path / "mine"))
    )
    assert spec["root"]["inputDefinitions"]["parameters"]["dataset"]["defaultValue"] == (
        "gs://data/mine"
    )


def test_without_the_extra_it_says_what_to_install(compile_, monkeypatch):
    monkeypatch.delitem(sys.modules, "kfp.pipeline_spec")
    monkeypatch.setitem(sys.modules, "kfp", None)
    with pytest.raises(DexmatchError, match=r"not installed: pip install 'dexmatch\[kfp\]'"):
        compile_(*KUBEFLOW)


def test_paths_of_files_are_those_of_containers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = Places.asked("vertex", "gs://bucket/root", "gs://bucket/mine", None)
    found = places.of_config(
        configs.load(None, ["model.weights=w/a.h5", f"data.schema_file={tmp_path}/s.pbtxt"])
    )
    assert found.model.weights == "/gcs/bucket/mine/w/a.h5"
    assert found.data.schema_file == "/gcs/bucket/mine/s.pbtxt"
    assert found.run.workspace == "/gcs/bucket/mine/runs"


@pytest.mark.parametrize(
    ("memory", "gigabytes"), [("1G", 1), ("512Mi", 0.536870912), ("2e", None), ("1000000000", 1)]
)
def test_memory_is_in_gigabytes_for_vertex(memory, gigabytes):
    if gigabytes is None:
        with pytest.raises(DexmatchError):
            Resources.asked([], [memory], [])
        return
    assert Resources.asked([], [memory], []).of("Any")["memoryLimit"] == pytest.approx(gigabytes)

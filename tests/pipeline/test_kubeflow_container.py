"""Components in containers, as Kubeflow starts them; see `kubeflow_cluster`."""

import contextlib
import json
import sys

import pytest
import yaml
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

from core import object_stores
from core.errors import DexmatchError
from data import pair_examples
from pipeline.kubeflow import container

TYPE = {"instanceSchema": "title: tfx.Model\ntype: object\n"}


@pytest.fixture(scope="module")
def spec(project, ask, tmp_path_factory):
    """A compiled pipeline."""
    out = tmp_path_factory.mktemp("written") / "pipeline.yaml"
    with contextlib.chdir(project):
        ask(
            *("compile", "--data", "datasets/mine", "--image", "any", "-o", out),
            *("--project", "/mnt/shared"),
        )
    return yaml.safe_load(out.read_text(encoding="utf-8"))


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Starts what a container starts, here."""
    monkeypatch.setitem(object_stores.FOLDERS, "minio://", f"{tmp_path}/")

    def start(command, arguments):
        assert command[-1] == container.__name__
        monkeypatch.setattr(sys, "argv", ["container", *arguments])
        container.main()

    return start


def test_components_run_one_after_another(test_module, project, spec, start, tmp_path):
    cluster = test_module("pipeline/kubeflow_cluster.py").Cluster(
        spec,
        start,
        folder=f"{tmp_path}/",
        parameters={"dataset": str(project / "datasets" / "mine")},
    )
    order = cluster.order()
    for name in ("ImportExampleGen", "PairSampler", "SliceGuard"):
        assert name in order
        for output in cluster.run(name).values():
            assert output["uri"].startswith("minio://mlpipeline/v2/artifacts/dexmatch/")
    sampled = cluster.made["PairSampler"]["sampled_examples"]
    assert json.loads(sampled["metadata"]["split_names"]) == ["train", "val", "test"]
    files = pair_examples.split_files(str(cluster.path(sampled["uri"]) / "Split-test"))
    assert sum(1 for _ in pair_examples.read_examples(files))


@pytest.fixture
def invocation(tmp_path, monkeypatch):
    """Of a component that is given two models, one of them without files."""
    monkeypatch.setitem(object_stores.FOLDERS, "s3://", f"{tmp_path}/s3/")
    (tmp_path / "s3" / "bucket" / "model" / "Format-Serving").mkdir(parents=True)
    return {
        "inputs": {
            "artifacts": {
                "model": {
                    "artifacts": [
                        {"type": {"instanceSchema": ""}, "uri": "s3://bucket/model", "name": ""}
                    ]
                },
                "baseline_model": {"artifacts": [{"uri": "s3://bucket/empty"}]},
                "base_model": {},
            }
        },
        "outputs": {
            "artifacts": {
                "card": {"artifacts": [{"type": TYPE, "uri": "gs://bucket/card"}]},
                "executor-logs": {"artifacts": [{"uri": "gs://bucket/executor-logs"}]},
            },
            "outputFile": "/gcs/bucket/output_metadata.json",
        },
    }


MODELS = ("model", "baseline_model", "base_model")
SPEC = {"artifacts": {name: {"artifactType": TYPE} for name in MODELS}}


def test_inputs_get_back_their_types_and_names_and_lie_in_folders(invocation, tmp_path):
    addresses = container.prepare(invocation, SPEC)
    (model,) = invocation["inputs"]["artifacts"]["model"]["artifacts"]
    place = f"{tmp_path}/s3/bucket/model"
    assert model == {"type": TYPE, "uri": place, "name": "s3://bucket/model"}
    assert invocation["outputs"]["artifacts"].keys() == {"card"}
    assert invocation["outputs"]["artifacts"]["card"]["artifacts"][0]["uri"] == "/gcs/bucket/card"
    assert addresses[place] == "s3://bucket/model"
    assert addresses["/gcs/bucket/card"] == "gs://bucket/card"


@pytest.mark.parametrize(
    ("runner", "executor", "place"),
    [
        ("DirectRunner", "components.pair_sampler.executor.Executor", "/gcs/bucket/card"),
        ("DataflowRunner", "components.pair_sampler.executor.Executor", "gs://bucket/card"),
        ("DataflowRunner", "components.pusher.executor.Executor", "/gcs/bucket/card"),
    ],
)
def test_dataflows_workers_are_told_addresses(runner, executor, place, invocation, monkeypatch):
    monkeypatch.setattr(container, "restore", lambda *_: None)
    monkeypatch.setattr(kubeflow_v2_run_executor, "main", lambda found: told.append(found[0]))
    told = []
    arguments = [
        *("--executor_class_path", executor, f"--runner={runner}"),
        *("--json_serialized_inputs_spec_args", json.dumps(SPEC)),
        *("--json_serialized_invocation_args", json.dumps(invocation)),
    ]
    monkeypatch.setattr(sys, "argv", ["container", *arguments])
    container.main()
    outputs = json.loads(told[0].json_serialized_invocation_args)["outputs"]["artifacts"]
    assert outputs["card"]["artifacts"][0]["uri"] == place


def test_a_model_without_files_is_none(invocation):
    container.prepare(invocation, SPEC)
    inputs = invocation["inputs"]["artifacts"]
    assert [len(inputs[name]["artifacts"]) for name in MODELS] == [1, 0, 0]


def test_outputs_are_told_by_their_addresses(tmp_path):
    def told(model, card):
        metadata = {"current_model": model, "blessed": 1.0, "name": "mine"}
        return {"artifacts": {"card": {"artifacts": [{"uri": card, "metadata": metadata}]}}}

    file = tmp_path / "told.json"
    file.write_text(json.dumps(told("/gcs/b/model", "/gcs/b/card")))
    container.restore(str(file), {"/gcs/b/model": "gs://b/model", "/gcs/b/card": "gs://b/card"})
    assert json.loads(file.read_text()) == told("gs://b/model", "gs://b/card")


@pytest.mark.parametrize(
    ("error", "code"), [(DexmatchError("mend this"), "Error: mend this"), (ValueError("no"), 1)]
)
def test_a_users_mistake_is_the_last_line_of_the_log(monkeypatch, capsys, invocation, error, code):
    def fail(_):
        raise error

    monkeypatch.setattr(kubeflow_v2_run_executor, "main", fail)
    arguments = [
        *("--executor_class_path", "any", "--json_serialized_inputs_spec_args", json.dumps(SPEC)),
        *("--json_serialized_invocation_args", json.dumps(invocation)),
    ]
    monkeypatch.setattr(sys, "argv", ["container", *arguments])
    with pytest.raises(SystemExit) as end:
        container.main()
    assert end.value.code == code
    assert str(error) in capsys.readouterr().err

"""Which components a configuration asks for, without running them."""

import json

import pytest
from tfx.dsl.compiler.compiler import Compiler
from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)
from tfx.proto import infra_validator_pb2
from tfx.utils import proto_utils

from core import config as configs
from pipeline.baseline import CANDIDATE, BaselineStrategy
from pipeline.code_digest import digest_of_code
from pipeline.pipeline import create_pipeline
from results.data_validation import tfdv


def made(tmp_path, *overrides, **settings):
    return create_pipeline(
        configs.load(None, overrides),
        dataset=str(tmp_path / "data"),
        dataset_name="data",
        metadata_columns=["color"],
        pipeline_root=str(tmp_path / "root"),
        metadata_path=str(tmp_path / "metadata.sqlite"),
        checkpoints_directory=str(tmp_path / "checkpoints"),
        serving_directory=str(tmp_path / "serving"),
        batching_parameters="max_batch_size { value: 32 }",
        **settings,
    )


def composed(tmp_path, *overrides, **settings):
    pipeline = made(tmp_path, *overrides, **settings)
    return {component.id: component for component in pipeline.components}


@pytest.mark.parametrize(
    ("arguments", "image"),
    [
        (["--runner=DirectRunner"], ["local"]),
        (["--runner=DirectRunner", "--sdk_container_image=mine"], ["mine"]),
        (["--runner=FlinkRunner"], []),
    ],
)
def test_workers_on_this_machine_are_not_given_tfx_as_a_package(tmp_path, arguments, image):
    """As they would be without an image; distant ones need it."""
    pipeline = made(tmp_path, f"run.beam_args={json.dumps(arguments)}")
    option = "--sdk_container_image="
    found = [each for each in pipeline.beam_pipeline_args if each.startswith(option)]
    # The last one holds.
    assert [each.removeprefix(option) for each in found[-1:]] == image


@pytest.mark.parametrize(
    ("validator", "component"),
    [
        ("serving_validator", "ServingValidator"),
        ("infra_validator", "InfraValidator"),
        ("none", None),
    ],
)
def test_the_pusher_takes_the_model_from_whoever_served_it(tmp_path, validator, component):
    found = composed(tmp_path, f"serving.validator={validator}")
    assert {"ServingValidator", "InfraValidator"} & found.keys() == {component} - {None}
    inputs = found["Pusher"].spec.inputs
    assert ("model" in inputs) == (component is None)
    assert ("infra_blessing" in inputs) == (component is not None)
    assert "model_blessing" in inputs


def test_infra_validator_asks_the_image_that_serves(tmp_path):
    validator = composed(tmp_path, "serving.validator=infra_validator")["InfraValidator"]
    spec = infra_validator_pb2.ServingSpec()
    proto_utils.json_to_proto(validator.spec.exec_properties["serving_spec"], spec)
    assert spec.tensorflow_serving.tags == ["2.20.0"]
    requests = infra_validator_pb2.RequestSpec()
    proto_utils.json_to_proto(validator.spec.exec_properties["request_spec"], requests)
    assert requests.make_warmup
    assert requests.tensorflow_serving.signature_names == ["serve_examples"]


def test_another_data_set_is_scored_only_if_it_is_named(tmp_path):
    assert "BulkInferrer" not in composed(tmp_path)
    found = composed(tmp_path, "bulk.dataset=datasets/new")
    assert found["BulkInferrer"].spec.inputs["examples"].producer_component_id == "BulkExampleGen"


@pytest.mark.parametrize(("tuning", "node"), [("trials=2", "Tuner"), ("reuse=true", None)])
def test_what_was_tuned_reaches_the_trainer(tmp_path, tuning, node):
    found = composed(tmp_path, f"tuner.{tuning}")
    assert ("Tuner" in found) == (node == "Tuner")
    assert "hyperparameters" in found["Trainer"].spec.inputs
    assert "hyperparameters" not in composed(tmp_path)["Trainer"].spec.inputs


@pytest.mark.parametrize("node", ["Tuner", "Trainer"])
def test_what_may_be_killed_is_told_where_to_go_on(tmp_path, node):
    found = composed(tmp_path, "tuner.trials=2")[node].spec.exec_properties["custom_config"]
    assert json.loads(found)["checkpoints"] == str(tmp_path / "checkpoints")


def test_statistics_keep_no_more_values_than_a_sketch_holds(tmp_path):
    parameters = composed(tmp_path)["StatisticsGen"].exec_properties
    options = tfdv.StatsOptions.from_json(parameters["stats_options_json"])
    assert options.use_sketch_based_topk_uniques


def code_of(component) -> str | None:
    """The digest of code among a component's parameters."""
    parameters = component.exec_properties
    told = json.loads(parameters.get("custom_config") or "null") or {}
    return parameters.get("code") or told.get("code")


def test_the_cache_is_keyed_by_the_code_of_ours_that_a_component_runs(tmp_path):
    found = composed(tmp_path, "tuner.trials=2", "bulk.dataset=datasets/new")
    runs = {
        "PairSampler": ["components.pair_sampler.executor"],
        "LeakageGuard": ["components.leakage_guard.executor"],
        "SliceGuard": ["components.slice_guard.executor"],
        "AnomalyGuard": ["components.anomaly_guard.executor"],
        "Transform": ["modules.transform"],
        "Tuner": ["modules.tuner"],
        "Trainer": ["modules.trainer"],
        "Evaluator": ["components.evaluator.executor", "modules.evaluation.metrics"],
        "RetrievalEvaluator": ["components.retrieval.executor"],
        "ServingValidator": ["components.serving_validator.executor"],
        "Pusher": ["components.pusher.executor"],
        "ModelCard": ["components.model_card.executor"],
        "Report": ["components.report.executor"],
    }
    keys = {node: code_of(component) for node, component in found.items()}
    assert {node: key for node, key in keys.items() if key} == {
        node: digest_of_code(*modules) for node, modules in runs.items()
    }


@pytest.mark.parametrize("node", ["Transform", "Tuner", "Trainer"])
def test_functions_are_told_their_code(tmp_path, node):
    """The checkpoints of a training are found by it."""
    found = composed(tmp_path, "tuner.trials=2")[node].exec_properties
    assert json.loads(found["custom_config"])["code"]


def test_the_baseline_is_found_as_the_caller_says(tmp_path):
    def strategy(**settings):
        properties = composed(tmp_path, **settings)["latest_blessed_model"].exec_properties
        return properties[resolver.RESOLVER_STRATEGY_CLASS], properties[resolver.RESOLVER_CONFIG]

    assert strategy() == (LatestBlessedModelStrategy, {})
    config = {"serving_directory": str(tmp_path / "serving")}
    chosen = strategy(baseline_strategy=BaselineStrategy, baseline_config=config)
    assert chosen == (BaselineStrategy, config)


def resolver_inputs(tmp_path, *overrides, **settings):
    """What the resolver of the baseline is told, whom it waits for, and who waits for it."""
    pipeline = made(tmp_path, *overrides, **settings)
    nodes = [node.pipeline_node for node in Compiler().compile(pipeline).nodes]
    (node,) = (each for each in nodes if each.node_info.id == "latest_blessed_model")
    told = set(node.inputs.inputs) & {"model", "model_blessing", CANDIDATE}
    return told, node.upstream_nodes, node.downstream_nodes


def test_ours_is_told_the_candidate(tmp_path):
    config = {"serving_directory": str(tmp_path / "serving")}
    ours = {"baseline_strategy": BaselineStrategy, "baseline_config": config}
    both = {"model", "model_blessing"}
    assert resolver_inputs(tmp_path, **ours) == ({*both, CANDIDATE}, ["Trainer"], ["Evaluator"])
    # A training that goes on from it comes later.
    found = resolver_inputs(tmp_path, "model.weights=last_blessed", **ours)
    assert found == (both, [], ["Evaluator", "Trainer"])


def test_tfxs_own_is_told_what_it_takes(tmp_path):
    assert resolver_inputs(tmp_path) == ({"model", "model_blessing"}, [], ["Evaluator"])


def test_without_a_resolver_it_is_what_is_served(tmp_path):
    found = composed(tmp_path, baseline_strategy=None)
    assert "latest_blessed_model" not in found
    baseline = found["Evaluator"].spec.inputs["baseline_model"]
    assert baseline.producer_component_id == "ServedModel"
    parameters = found["ServedModel"].exec_properties
    assert parameters["serving_directory"] == str(tmp_path / "serving")

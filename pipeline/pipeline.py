"""The pipeline: every component and every edge, composed in one function.

ImportExampleGen ─► PairSampler ─┬─► LeakageGuard, SliceGuard  (stop the run before Transform)
                                 ├─► StatisticsGen ─► SchemaGen ─► ExampleValidator
                                 │                        │               │
                                 │                        │         AnomalyGuard  (stops the run)
                                 │                        ▼               ▼
                                 ├──────────────────► Transform ─► Trainer ──────────┐
                                 │                                    │              │
                                 ├─► RetrievalEvaluator ◄─────────────┤              │
                                 └─► Evaluator ◄── Resolver           │              │
                                         │     (latest blessed)       ▼              │
                                         ├── blessing ────────► ServingValidator     │
                                         │                            │ model, warm  │
                                         └── blessing ────────────► Pusher           │
                                                                                     ▼
                                                                            ModelCard, Report

ModelCard and Report read the model, the data and what all the judges found. With `bulk.dataset`, a
BulkInferrer scores another data set with the model, if it is blessed.

With `tuner.trials`, a Tuner stands between Transform and Trainer; with `tuner.reuse`, a Resolver
of what an earlier one found. The Resolver of the latest blessed model comes after the Trainer,
whose model it passes over; with `model.weights = "last_blessed"` it comes before, and feeds the
Trainer too. Where the orchestrator has no resolvers, ServedModel stands in its place.
"""

from collections.abc import Collection, Sequence
from typing import Any

from ml_metadata.proto import metadata_store_pb2

# Not by `tfx.v1`: that also loads the client for Google's cloud, seven of twenty seconds.
from tfx import types
from tfx.components import (
    BulkInferrer,
    ExampleValidator,
    ImportExampleGen,
    SchemaGen,
    StatisticsGen,
    Trainer,
    Transform,
    Tuner,
)
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver, ResolverStrategy
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import (
    bulk_inferrer_pb2,
    example_gen_pb2,
    infra_validator_pb2,
    pusher_pb2,
    trainer_pb2,
    transform_pb2,
)
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.channel import Channel
from tfx.utils import json_utils

from components.anomaly_guard.component import AnomalyGuard
from components.evaluator.component import Evaluator
from components.infra_validator.component import InfraValidator
from components.leakage_guard.component import LeakageGuard
from components.model_card.component import ModelCard
from components.pair_sampler.component import PairSampler
from components.pusher.component import Pusher
from components.pusher.executor import IN_USE, KEEP_VERSIONS
from components.report.component import Report
from components.retrieval.component import RetrievalEvaluator
from components.served_model.component import ServedModel
from components.serving_validator.component import ServingValidator
from components.slice_guard.component import SliceGuard
from core import features
from core.config import LAST_BLESSED, TUNED, Config
from core.slices import OVERALL
from modules.evaluator import eval_config
from modules.export import signatures
from modules.training import checkpoints
from pipeline import user_components
from pipeline.baseline import CANDIDATE
from pipeline.beam import options
from pipeline.code_digest import digest_of_code, modules_named_in
from results import connections
from results.data_validation import tfdv
from results.shared_store import SharedStore
from serving.engines import docker

SHARDS = "pairs-*.tfrecord.gz"
"""What ImportExampleGen reads of a data set folder."""

_BEST = "best_hyperparameters"
_CUSTOM_CONFIG = standard_component_specs.CUSTOM_CONFIG_KEY
_TRAINER = "modules.trainer"


def create_pipeline(
    config: Config,
    *,
    dataset: str | RuntimeParameter,
    dataset_name: str,
    metadata_columns: Sequence[str],
    pipeline_root: str,
    metadata_path: str | None,
    checkpoints_directory: str,
    serving_directory: str,
    batching_parameters: str = "",
    pinned_versions: Sequence[int] = (),
    baseline_strategy: type[ResolverStrategy] | None = LatestBlessedModelStrategy,
    baseline_config: dict[str, Any] | None = None,
    told: Config | None = None,
    shared_store: SharedStore | None = None,
    beam_arguments: Sequence[str] = (),
) -> Pipeline:
    """Composes the pipeline; the runner is the caller's choice.

    Args:
      config: the configuration tree. Paths in it, and those below, are ones that TFX takes as they
        are: it reads some characters as patterns.
      dataset: folder of TFRecord shards written by an importer, or the parameter that names it.
      dataset_name: what people call it.
      metadata_columns: features with few distinct values; they decide how close captions are and,
        with `evaluator.slice_columns = "auto"`, become slices.
      pipeline_root: folder for artifacts.
      metadata_path: the MLMD database file (SQLite); None where the orchestrator keeps the records.
      checkpoints_directory: where a training that was killed leaves what it needs to go on.
      serving_directory: blessed models are pushed to `<serving_directory>/<version>`.
      batching_parameters: the text of a batching.config, by which a model server joins requests;
        empty if it does not.
      pinned_versions: pushed versions that stay, however old.
      baseline_strategy: finds the model that a candidate is compared with. TFX's own takes no
        candidate; any other is told it, as `pipeline.baseline.CANDIDATE`, unless that is to go on
        from what is found. None: the one that is served, which a component finds where models are
        pushed to; so it is where the orchestrator has no resolvers.
      baseline_config: its arguments.
      told: the configuration as report and model card tell it, with the paths that people know; by
        default `config`.
      shared_store: the database server that takes the place of that file.
      beam_arguments: options of the Beam jobs; by default those for workers on this machine.
    """
    packages = user_components.packages(config)
    example_gen = ImportExampleGen(
        input_base=dataset,
        input_config=shards(),
        output_config=_splits(config),
    )
    pair_sampler = PairSampler(
        example_gen.outputs["examples"],
        **config.pairs.model_dump(),
        metadata_columns=metadata_columns,
        max_tokens=config.caption.max_tokens,
    )
    examples = pair_sampler.outputs["sampled_examples"]
    leakage_guard = LeakageGuard(
        examples,
        image_size=config.image.size,
        normalize=config.caption.normalize,
        image_leakage=config.data.image_leakage,
        caption_leakage=config.data.caption_leakage,
    )
    slice_guard = SliceGuard(
        examples,
        slices=dict.fromkeys(
            each.slice
            for each in config.evaluator.blessing
            if each.is_on_one_slice and each.slice != OVERALL
        ),
        split=features.TEST,
    )
    statistics_gen = make_statistics(examples)
    schema_gen = infer_schema(config, statistics_gen)
    schema = schema_gen.outputs["schema"]
    example_validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema
    )
    anomaly_guard = AnomalyGuard(example_validator.outputs["anomalies"], schema)
    preprocessing = preprocessing_settings(config, metadata_columns)
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="modules.transform.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(
            analyze=[features.TRAIN], transform=[features.TRAIN, features.VAL]
        ),
        custom_config=preprocessing,
        # Of what StatisticsGen has told already, and of pictures as PNG.
        disable_statistics=True,
        # It is for spans that are analysed one by one: a data set is analysed as a whole.
        disable_analyzer_cache=True,
    )
    for guard in (anomaly_guard, leakage_guard, slice_guard):
        transform.add_upstream_node(guard)

    def latest_blessed(**candidate: types.BaseChannel) -> BaseNode:
        if baseline_strategy is None:
            return ServedModel(serving_directory)
        return Resolver(
            strategy_class=baseline_strategy,
            config=baseline_config,
            model=Channel(type=standard_artifacts.Model),
            model_blessing=Channel(type=standard_artifacts.ModelBlessing),
            **candidate,
        ).with_id("latest_blessed_model")

    # An edge only where it is asked for: else every blessing would make the Trainer start anew.
    goes_on = config.model.weights == LAST_BLESSED
    baseline = latest_blessed() if goes_on else None
    base_model = baseline.outputs["model"] if baseline else None
    training = {
        **preprocessing,
        **config.model_dump(mode="json", include={"pairs", *TUNED}),
        checkpoints.ROOT: checkpoints_directory,
    }
    tuning = _tuning(config, transform, base_model, training)
    trainer = Trainer(
        run_fn=f"{_TRAINER}.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        train_args=trainer_pb2.TrainArgs(splits=[features.TRAIN]),
        eval_args=trainer_pb2.EvalArgs(splits=[features.VAL]),
        base_model=base_model,
        hyperparameters=tuning.outputs[_BEST] if tuning else None,
        custom_config=training,
    )
    model = trainer.outputs["model"]
    if baseline is None:
        takes_candidate = baseline_strategy not in (None, LatestBlessedModelStrategy)
        baseline = latest_blessed(**({CANDIDATE: model} if takes_candidate else {}))
    slices = config.evaluator.slice_columns
    evaluator = Evaluator(
        examples,
        model=model,
        baseline_model=baseline.outputs["model"],
        eval_config=eval_config(config.evaluator, metadata_columns if slices == "auto" else slices),
        example_splits=[features.TEST],
        min_slice_pairs=config.evaluator.min_slice_pairs,
    )
    retrieval = RetrievalEvaluator(
        examples,
        model,
        split=features.TEST,
        most_pairs=config.evaluator.retrieval_pairs,
        seed=config.pairs.seed,
    )
    validator = _serving_validator(config, model, evaluator, examples, batching_parameters)
    pusher = Pusher(
        # A validator hands on the model with its warm-up requests.
        model=None if validator else model,
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=validator.outputs["blessing"] if validator else None,
        custom_config={
            KEEP_VERSIONS: config.pusher.keep_versions,
            IN_USE: list(pinned_versions),
        },
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=serving_directory)
        ),
    )
    telling = (told or config).model_dump(
        mode="json", exclude={"run": True, "pusher": True, "audit": True, "data": {"dataset"}}
    )
    card = ModelCard(
        model=model,
        model_run=trainer.outputs["model_run"],
        statistics=statistics_gen.outputs["statistics"],
        leakage=leakage_guard.outputs["report"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        retrieval=retrieval.outputs["metrics"],
        pushed_model=pusher.outputs["pushed_model"],
        name=config.run.name,
        dataset=dataset_name,
        config=telling,
        training_code=_training_code(config, packages),
    )
    report = Report(
        examples=examples,
        model=model,
        model_run=trainer.outputs["model_run"],
        statistics=statistics_gen.outputs["statistics"],
        schema=schema,
        anomalies=example_validator.outputs["anomalies"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        retrieval=retrieval.outputs["metrics"],
        pushed_model=pusher.outputs["pushed_model"],
        infra_blessing=validator.outputs["blessing"] if validator else None,
        tuner_results=tuning.outputs.get("tuner_results") if tuning else None,
        name=config.run.name,
        config=telling,
        metadata_path=metadata_path,
        metadata=config.run.metadata,
    )
    bulk = _bulk(config, model, evaluator)
    # It tells of all that was run.
    for node in (card, *bulk):
        report.add_upstream_node(node)
    nodes = [
        example_gen,
        pair_sampler,
        leakage_guard,
        slice_guard,
        statistics_gen,
        schema_gen,
        example_validator,
        anomaly_guard,
        transform,
        baseline,
        *([tuning] if tuning else []),
        trainer,
        evaluator,
        retrieval,
        *([validator] if validator else []),
        pusher,
        card,
        *bulk,
        report,
    ]
    nodes = user_components.added(config, nodes)
    for node in nodes:
        key_cache_by_code(node, packages)
    return Pipeline(
        pipeline_name=config.run.name,
        pipeline_root=pipeline_root,
        components=nodes,
        enable_cache=config.run.cache,
        metadata_connection_config=(
            metadata_connection(metadata_path, shared_store) if metadata_path else None
        ),
        beam_pipeline_args=list(beam_arguments or options.arguments(config.run)),
    )


def metadata_connection(
    path: str, shared: SharedStore | None
) -> metadata_store_pb2.ConnectionConfig:
    """Where TFX records what it does: a SQLite file, or the server that takes its place."""
    return connections.of_server(shared) if shared else sqlite_metadata_connection_config(path)


def _training_code(config: Config, packages: Collection[str]) -> str:
    """A digest of all code that trains the model, and builds it."""
    names = _TRAINER, config.model.build, config.caption.normalize
    modules = set().union(*(modules_named_in(name, packages) for name in names))
    return digest_of_code(*modules, packages=packages)


def preprocessing_settings(config: Config, metadata_columns: Sequence[str]) -> dict[str, Any]:
    """What Transform and the Trainer are told of the data."""
    attributes = config.model.attributes
    return {
        **config.model_dump(mode="json", include={"image", "caption"}),
        "attributes": list(metadata_columns if attributes == "auto" else attributes),
    }


def key_cache_by_code(node: BaseNode, packages: Collection[str]) -> None:
    """Gives a component a digest of the code, ours and the user's, that it runs as a parameter.

    TFX's cache does not see code, but parameters. What a component runs is what it names: its
    executor, and in its parameters a `run_fn`, the module of a metric, or a function of the user's.

    Args:
      node: what runs none is left as it is.
      packages: the user's.
    """
    if not isinstance(node, BaseComponent):
        return  # A resolver runs nothing that is cached.
    parameters = node.exec_properties
    texts = [value for value in parameters.values() if isinstance(value, str)]
    texts.append(getattr(node.executor_spec, "class_path", ""))
    modules = set().union(*(modules_named_in(text, packages) for text in texts))
    if not modules:
        return
    code = {"code": digest_of_code(*modules, packages=packages)}
    if _CUSTOM_CONFIG in parameters:
        # This reaches our functions: no training goes on from a checkpoint of other code.
        custom = json_utils.loads(parameters[_CUSTOM_CONFIG]) or {}
        parameters[_CUSTOM_CONFIG] = json_utils.dumps({**custom, **code})
    else:
        parameters.update(code)


def shards() -> example_gen_pb2.Input:
    """All that an importer wrote, as one split."""
    return example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="pairs", pattern=SHARDS)])


def _splits(config: Config) -> example_gen_pb2.Output:
    """Splits by a hash of the group, so that no family stands on both sides."""
    buckets = {
        features.TRAIN: config.data.train_buckets,
        features.VAL: config.data.val_buckets,
        features.TEST: config.data.test_buckets,
    }
    return example_gen_pb2.Output(
        split_config=example_gen_pb2.SplitConfig(
            splits=[
                example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=count)
                for name, count in buckets.items()
            ],
            partition_feature_name=features.GROUP,
        )
    )


def make_statistics(examples: types.BaseChannel) -> BaseNode:
    """Statistics of every split.

    Values are counted in sketches of bounded size. To count them exactly, TFDV groups all that
    there are, pictures included, and so keeps a split in memory several times over.
    """
    options = tfdv.StatsOptions(use_sketch_based_topk_uniques=True)
    return StatisticsGen(examples=examples, stats_options=options)


def infer_schema(config: Config, statistics_gen: BaseNode) -> BaseNode:
    """A curated schema where there is one, else one inferred from the data."""
    if config.data.schema_file:
        return ImportSchemaGen(schema_file=config.data.schema_file)
    return SchemaGen(statistics=statistics_gen.outputs["statistics"], infer_feature_shape=True)


def _serving_validator(
    config: Config,
    model: types.BaseChannel,
    evaluator: BaseNode,
    examples: types.BaseChannel,
    batching_parameters: str,
) -> BaseNode | None:
    """What serves the candidate before it is pushed; None where it is not to be served."""
    if config.serving.validator == "none":
        return None
    if config.serving.validator == "infra_validator":
        proto = infra_validator_pb2
        return InfraValidator(
            model=model,
            examples=examples,
            serving_spec=proto.ServingSpec(
                tensorflow_serving=proto.TensorFlowServing(tags=[docker.TAG]),
                local_docker=proto.LocalDockerConfig(),
            ),
            request_spec=proto.RequestSpec(
                tensorflow_serving=proto.TensorFlowServingRequestSpec(
                    signature_names=[signatures.SERVE_EXAMPLES]
                ),
                split_name=features.TEST,
                num_examples=config.serving.pairs,
                make_warmup=True,
            ),
        )
    return ServingValidator(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        examples=examples,
        settings=config.serving.model_dump(mode="json"),
        split=features.TEST,
        seed=config.pairs.seed,
        image_size=config.image.size,
        batching=batching_parameters,
    )


def _bulk(config: Config, model: types.BaseChannel, evaluator: BaseNode) -> list[BaseNode]:
    """What scores another data set, as examples with a feature more: the probability."""
    if not config.bulk.dataset:
        return []
    example_gen = ImportExampleGen(
        input_base=config.bulk.dataset,
        input_config=shards(),
    ).with_id("BulkExampleGen")
    column = bulk_inferrer_pb2.PredictOutputCol(
        output_key=features.PROBABILITY, output_column=features.PROBABILITY
    )
    inferrer = BulkInferrer(
        examples=example_gen.outputs["examples"],
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        model_spec=bulk_inferrer_pb2.ModelSpec(model_signature_name=[signatures.SERVE_EXAMPLES]),
        output_example_spec=bulk_inferrer_pb2.OutputExampleSpec(
            output_columns_spec=[
                bulk_inferrer_pb2.OutputColumnsSpec(
                    signature_name=signatures.SERVE_EXAMPLES,
                    predict_output=bulk_inferrer_pb2.PredictOutput(output_columns=[column]),
                )
            ]
        ),
    )
    return [example_gen, inferrer]


def _tuning(
    config: Config, transform: BaseNode, base_model: Any, training: dict[str, Any]
) -> BaseNode | None:
    """What finds hyperparameters for the Trainer; None where the configuration alone decides."""
    if config.tuner.reuse:
        return Resolver(
            strategy_class=LatestArtifactStrategy,
            **{_BEST: Channel(type=standard_artifacts.HyperParameters)},
        ).with_id("latest_best_hyperparameters")
    if not config.tuner.trials:
        return None
    return Tuner(
        tuner_fn="modules.tuner.tuner_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        base_model=base_model,
        train_args=trainer_pb2.TrainArgs(splits=[features.TRAIN]),
        eval_args=trainer_pb2.EvalArgs(splits=[features.VAL]),
        custom_config={**training, "tuner": config.tuner.model_dump(mode="json")},
    )

"""The pipeline of an audit: every pair of a data set is judged, and none is set aside.

ImportExampleGen ─► PairSampler ─┬─► StatisticsGen ─► SchemaGen ─┐
 one split                       └───────────────────────────────┴─► Transform ─► Auditor

What it trains is what `dexmatch run` would train with the same configuration, on other pairs.
"""

from typing import TYPE_CHECKING

from core import config as configs
from core.config import LAST_BLESSED, TUNED, Config
from core.errors import DexmatchError
from data import dataset as datasets
from data.dataset import Dataset
from pipeline import execution
from results import judgments
from results.judgments import Judgment
from results.workspace import Workspace

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

_SUFFIX = "-audit"
"""Of the workspace's name: runs of the whole pipeline and of this one do not mix."""


def judge(config: Config, verbose: bool = False) -> dict[str, Judgment]:
    """Judges all pairs of a data set; what an earlier audit made is taken from the cache.

    Args:
      config: a validated configuration with `data.dataset` set.
      verbose: show the log as it grows.

    Returns:
      Id to what was found of the pair.

    Raises:
      DexmatchError: something is wrong with the configuration or the data, or the run failed.
    """
    settings = _settings(config)
    _check_groups(datasets.load(config.data.dataset), config.audit.folds)
    outcome = execution.execute(settings, verbose, compose)
    found = outcome.run and outcome.run.output("Judgments")
    if outcome.error or not found:
        raise DexmatchError(f"{outcome.error}; everything that was said is in {outcome.log}")
    return judgments.load(found.uri)


def _settings(config: Config) -> Config:
    """The configuration of an audit.

    Raises:
      DexmatchError: a setting has no meaning in an audit.
    """
    if config.model.weights == LAST_BLESSED:
        raise DexmatchError(
            f'model.weights = "{LAST_BLESSED}": that model has learned from the pairs that it '
            "would judge; choose others"
        )
    if config.trainer.strategy == "multi_worker":
        raise DexmatchError(
            'trainer.strategy = "multi_worker": an audit trains in one process; choose another'
        )
    tree = config.model_dump()
    tree["run"]["name"] += _SUFFIX
    # Nothing is pushed, so no folder of served models is made.
    tree["pusher"]["directory"] = config.run.workspace
    tree["evaluator"]["blessing"] = ()
    tree["trainer"]["calibration_folds"] = 0
    tree["tuner"] = tree["bulk"] = {}
    return configs.validate(tree)


def _check_groups(dataset: Dataset, folds: int) -> None:
    # A fold is two parts, and in a part of a single group no caption could be wrong.
    needed = 4 * folds
    if dataset.groups < needed:
        raise DexmatchError(
            f"{dataset.path}: audit.folds = {folds} needs {needed} groups, and there are "
            f"{dataset.groups}; lower it (--set audit.folds=2), or group the pairs by something "
            "with more values (dexmatch data import --group-column)"
        )


def compose(config: Config, inputs: Config, dataset: Dataset, workspace: Workspace) -> "Pipeline":
    """See `execution.Compose`."""
    from tfx.components import ImportExampleGen, Transform
    from tfx.orchestration.pipeline import Pipeline
    from tfx.proto import example_gen_pb2, transform_pb2

    from components.auditor.component import Auditor
    from components.auditor.executor import AUDIT
    from components.pair_sampler.component import PairSampler
    from core import features
    from modules.training import checkpoints
    from modules.transform import KEEP_ID
    from pipeline import pipeline as whole
    from pipeline import user_components

    columns = [column.name for column in dataset.low_cardinality_columns()]
    everything = example_gen_pb2.SplitConfig.Split(name=features.TRAIN, hash_buckets=1)
    example_gen = ImportExampleGen(
        input_base=inputs.data.dataset,
        input_config=whole.shards(),
        output_config=example_gen_pb2.Output(
            split_config=example_gen_pb2.SplitConfig(splits=[everything])
        ),
    )
    pair_sampler = PairSampler(
        example_gen.outputs["examples"],
        **inputs.pairs.model_dump(),
        metadata_columns=columns,
        max_tokens=inputs.caption.max_tokens,
    )
    examples = pair_sampler.outputs["sampled_examples"]
    statistics_gen = whole.make_statistics(examples)
    schema_gen = whole.infer_schema(inputs, statistics_gen)
    preprocessing = {**whole.preprocessing_settings(inputs, columns), KEEP_ID: True}
    transform = Transform(
        examples=examples,
        schema=schema_gen.outputs["schema"],
        preprocessing_fn="modules.transform.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(
            analyze=[features.TRAIN], transform=[features.TRAIN]
        ),
        custom_config=preprocessing,
        disable_statistics=True,
        disable_analyzer_cache=True,
    )
    auditor = Auditor(
        transform.outputs["transformed_examples"],
        transform.outputs["transform_graph"],
        custom_config={
            **preprocessing,
            **inputs.model_dump(mode="json", include={"pairs", AUDIT, *TUNED}),
            checkpoints.ROOT: workspace.inside(workspace.checkpoints),
        },
    )
    nodes = [example_gen, pair_sampler, statistics_gen, schema_gen, transform, auditor]
    packages = user_components.packages(config)
    for node in nodes:
        whole.key_cache_by_code(node, packages)
    return Pipeline(
        pipeline_name=config.run.name,
        pipeline_root=workspace.inside(workspace.artifacts),
        components=nodes,
        enable_cache=config.run.cache,
        metadata_connection_config=whole.metadata_connection(
            workspace.inside(workspace.metadata), workspace.shared
        ),
        beam_pipeline_args=execution.beam_arguments(config, workspace),
    )

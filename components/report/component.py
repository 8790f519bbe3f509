"""Report: one page on which people see whether to trust the model, where it fails, and why."""

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.report import artifacts, executor
from components.retrieval.artifacts import RetrievalMetrics
from pages import sources


class ReportSpec(types.ComponentSpec):
    """Report's inputs, output and parameters."""

    PARAMETERS = {
        executor.NAME: component_spec.ExecutionParameter(type=str),
        executor.CONFIG: component_spec.ExecutionParameter(type=str),
        executor.METADATA: component_spec.ExecutionParameter(type=str),
        executor.METADATA_PATH: component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        sources.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        sources.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        sources.MODEL_RUN: component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        sources.STATISTICS: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics
        ),
        sources.SCHEMA: component_spec.ChannelParameter(type=standard_artifacts.Schema),
        sources.ANOMALIES: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleAnomalies
        ),
        sources.EVALUATION: component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation
        ),
        sources.BLESSING: component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        sources.RETRIEVAL: component_spec.ChannelParameter(type=RetrievalMetrics),
        sources.PUSHED: component_spec.ChannelParameter(type=standard_artifacts.PushedModel),
        sources.INFRA_BLESSING: component_spec.ChannelParameter(
            type=standard_artifacts.InfraBlessing, optional=True
        ),
        sources.TUNER_RESULTS: component_spec.ChannelParameter(
            type=standard_artifacts.TunerResults, optional=True
        ),
    }
    OUTPUTS = {
        executor.OUTPUT: component_spec.ChannelParameter(type=artifacts.Report),
    }


class Report(base_component.BaseComponent):
    """Writes a page that opens from disk, without a server and without a network.

    It tells the verdict, every slice, curves, examples with pictures, what the search finds, the
    data, the training and the lineage. The scores of single pairs are those of the SavedModel's own
    signatures on the test split. All that comes from data or configuration is escaped, and a
    Content-Security-Policy keeps any script but the page's own from running.

    Which components ran or were cached, and the run before this one, are read from MLMD. Where its
    database is no file at hand, those parts are left out. Like any component it is cached: a run
    that changes nothing has the report of the run that made everything, which it names.
    """

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        model_run: types.BaseChannel,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        anomalies: types.BaseChannel,
        evaluation: types.BaseChannel,
        blessing: types.BaseChannel,
        retrieval: types.BaseChannel,
        pushed_model: types.BaseChannel,
        infra_blessing: types.BaseChannel | None,
        tuner_results: types.BaseChannel | None,
        name: str,
        config: Mapping[str, Any],
        metadata_path: str | None,
        metadata: str,
    ):
        """Builds the component.

        Args:
          examples: PairSampler's channel of `Examples`; the test split is scored.
          model: the Trainer's channel of `Model`, see `modules.export.signatures`.
          model_run: the Trainer's channel of `ModelRun`, with TensorBoard logs or without.
          statistics: StatisticsGen's channel of `ExampleStatistics`.
          schema: the channel of `Schema` that the statistics were validated with.
          anomalies: ExampleValidator's channel of `ExampleAnomalies`.
          evaluation: the Evaluator's channel of `ModelEvaluation`.
          blessing: the Evaluator's channel of `ModelBlessing`.
          retrieval: RetrievalEvaluator's channel of `RetrievalMetrics`.
          pushed_model: the Pusher's channel of `PushedModel`.
          infra_blessing: the channel of `InfraBlessing` of what served the model, if anything did.
          tuner_results: the Tuner's channel of `TunerResults`, if there is one.
          name: of the model.
          config: sections of the configuration as dicts.
          metadata_path: MLMD's database file (SQLite), in the workspace; None where neither it nor
            what takes its place is at hand.
          metadata: `run.metadata`, which names a server where one takes the place of that file.
        """
        super().__init__(
            spec=ReportSpec(
                examples=examples,
                model=model,
                model_run=model_run,
                statistics=statistics,
                schema=schema,
                anomalies=anomalies,
                evaluation=evaluation,
                blessing=blessing,
                retrieval=retrieval,
                pushed_model=pushed_model,
                infra_blessing=infra_blessing,
                tuner_results=tuner_results,
                report=types.Channel(type=artifacts.Report),
                name=name,
                config=json.dumps(config),
                metadata_path=metadata_path,
                metadata=metadata,
            )
        )

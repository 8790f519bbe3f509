"""ModelCard: a page about the model, for people."""

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.leakage_guard.artifacts import LeakageReport
from components.model_card import artifacts, executor
from components.retrieval.artifacts import RetrievalMetrics
from pages import sources


class ModelCardSpec(types.ComponentSpec):
    """ModelCard's inputs, output and parameters."""

    PARAMETERS = {
        executor.NAME: component_spec.ExecutionParameter(type=str),
        executor.DATASET: component_spec.ExecutionParameter(type=str),
        executor.CONFIG: component_spec.ExecutionParameter(type=str),
        executor.TRAINING_CODE: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        sources.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        sources.MODEL_RUN: component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        sources.STATISTICS: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics
        ),
        sources.LEAKAGE: component_spec.ChannelParameter(type=LeakageReport),
        sources.EVALUATION: component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation
        ),
        sources.BLESSING: component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        sources.RETRIEVAL: component_spec.ChannelParameter(type=RetrievalMetrics),
        sources.PUSHED: component_spec.ChannelParameter(type=standard_artifacts.PushedModel),
    }
    OUTPUTS = {
        executor.CARD: component_spec.ChannelParameter(type=artifacts.ModelCard),
    }


class ModelCard(base_component.BaseComponent):
    """Writes a page in the layout of TFX's Model Card Toolkit, blessed or not.

    The toolkit itself cannot be used: its last release, 2.0.0 of 2023, asks for
    tensorflow-model-analysis < 0.42 and absl-py < 1.1, and TFX 1.21 runs with 0.52 and 1.4. So the
    page is a Jinja2 template of our own. All that comes from data or configuration is escaped, and
    the page loads nothing from anywhere.
    """

    SPEC_CLASS = ModelCardSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        model_run: types.BaseChannel,
        statistics: types.BaseChannel,
        leakage: types.BaseChannel,
        evaluation: types.BaseChannel,
        blessing: types.BaseChannel,
        retrieval: types.BaseChannel,
        pushed_model: types.BaseChannel,
        name: str,
        dataset: str,
        config: Mapping[str, Any],
        training_code: str,
    ):
        """Builds the component.

        Args:
          model: the Trainer's channel of `Model`.
          model_run: the Trainer's channel of `ModelRun`, with TensorBoard logs or without.
          statistics: StatisticsGen's channel of `ExampleStatistics`.
          leakage: LeakageGuard's channel of `LeakageReport`.
          evaluation: the Evaluator's channel of `ModelEvaluation`.
          blessing: the Evaluator's channel of `ModelBlessing`.
          retrieval: RetrievalEvaluator's channel of `RetrievalMetrics`.
          pushed_model: the Pusher's channel of `PushedModel`.
          name: of the model.
          dataset: name of the data set.
          config: sections of the configuration as dicts: what the model was made by.
          training_code: digest of the code that trained the model.
        """
        super().__init__(
            spec=ModelCardSpec(
                model=model,
                model_run=model_run,
                statistics=statistics,
                leakage=leakage,
                evaluation=evaluation,
                blessing=blessing,
                retrieval=retrieval,
                pushed_model=pushed_model,
                card=types.Channel(type=artifacts.ModelCard),
                name=name,
                dataset=dataset,
                config=json.dumps(config),
                training_code=training_code,
            )
        )

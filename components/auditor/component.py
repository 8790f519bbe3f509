"""Auditor: what models say of pairs whose groups they never saw."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts
from tfx.utils import json_utils

from components.auditor import executor
from components.auditor.artifacts import Judgments


class AuditorSpec(types.ComponentSpec):
    """Auditor's inputs, output and parameters."""

    PARAMETERS = {
        executor.CUSTOM_CONFIG: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.TRANSFORM: component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {
        executor.JUDGMENTS: component_spec.ChannelParameter(type=Judgments),
    }


class Auditor(base_component.BaseComponent):
    """Trains a model for each fold of the groups on the others, and has it judge the fold.

    The models are those that the Trainer would train; see `modules.training.out_of_fold`. What a
    killed run has finished is not done again.
    """

    SPEC_CLASS = AuditorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        *,
        custom_config: dict[str, Any],
    ):
        """Builds the component.

        Args:
          examples: Transform's channel of `Examples`, true pairs with ids in the train split.
          transform_graph: Transform's channel of `TransformGraph`.
          custom_config: what the Trainer is given, and the section `audit` as a dict.
        """
        super().__init__(
            spec=AuditorSpec(
                examples=examples,
                transform_graph=transform_graph,
                judgments=types.Channel(type=Judgments),
                custom_config=json_utils.dumps(custom_config),
            )
        )

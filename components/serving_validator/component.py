"""ServingValidator: TFX's InfraValidator without Docker, and with the answers checked."""

import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.serving_validator import executor


class ServingValidatorSpec(types.ComponentSpec):
    """ServingValidator's inputs, output and parameters."""

    PARAMETERS = {
        executor.SETTINGS: component_spec.ExecutionParameter(type=str),
        executor.SPLIT: component_spec.ExecutionParameter(type=str),
        executor.SEED: component_spec.ExecutionParameter(type=int),
        executor.IMAGE_SIZE: component_spec.ExecutionParameter(type=int),
        executor.BATCHING: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.MODEL_BLESSING: component_spec.ChannelParameter(
            type=standard_artifacts.ModelBlessing
        ),
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        executor.BLESSING: component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
    }


class ServingValidator(base_component.BaseComponent):
    """Serves the candidate on a free port, asks it real questions, and blesses it or not.

    The output is a standard `InfraBlessing`, in the layout of TFX's InfraValidator with
    `make_warmup`: the blessing holds the model with its warm-up requests, and that is what the
    Pusher pushes. Beside it lies `report.json`, with what was checked and found.

    A model that the Evaluator refused is not served, and not blessed.
    """

    SPEC_CLASS = ServingValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        examples: types.BaseChannel,
        *,
        settings: dict[str, Any],
        split: str,
        seed: int,
        image_size: int,
        batching: str = "",
    ):
        """Builds the component.

        Args:
          model: the candidate, a channel of `Model`.
          model_blessing: the Evaluator's channel of `ModelBlessing`.
          examples: PairSampler's channel of `Examples`.
          settings: the `serving` section of the configuration.
          split: where the pairs are taken from that the server is asked about.
          seed: which ones.
          image_size: height and width of the pictures in the warm-up requests.
          batching: how the server joins requests, the text of a batching.config; empty if it does
            not. It is warmed up for the batch sizes that follow from it.
        """
        super().__init__(
            spec=ServingValidatorSpec(
                model=model,
                model_blessing=model_blessing,
                examples=examples,
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
                settings=json.dumps(settings),
                split=split,
                seed=seed,
                image_size=image_size,
                batching=batching,
            )
        )

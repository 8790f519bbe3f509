"""ServedModel: the pushed model that is served now."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.served_model import executor


class ServedModelSpec(types.ComponentSpec):
    """ServedModel's output and parameter."""

    PARAMETERS = {executor.SERVING_DIRECTORY: component_spec.ExecutionParameter(type=str)}
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model)}


class ServedModel(base_component.BaseComponent):
    """Takes the model that is served now out of the folder of pushed ones.

    It stands for a resolver of the latest blessed model where the orchestrator has none. What was
    rolled back is no longer served. The `model` is empty if there is none yet. It must not be
    cached: what it finds is no input that an orchestrator sees.
    """

    SPEC_CLASS = ServedModelSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, serving_directory: str):
        """Builds the component.

        Args:
          serving_directory: models are pushed to `<serving_directory>/<version>`.
        """
        super().__init__(
            spec=ServedModelSpec(
                serving_directory=serving_directory,
                model=types.Channel(type=standard_artifacts.Model),
            )
        )

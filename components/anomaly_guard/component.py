"""AnomalyGuard: anomalies stop the run."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.anomaly_guard import executor


class AnomalyGuardSpec(types.ComponentSpec):
    """AnomalyGuard's inputs."""

    PARAMETERS: dict[str, component_spec.ExecutionParameter] = {}
    INPUTS = {
        executor.ANOMALIES: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleAnomalies
        ),
        executor.SCHEMA: component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS: dict[str, component_spec.ChannelParameter] = {}


class AnomalyGuard(base_component.BaseComponent):
    """Fails if ExampleValidator found an anomaly, and says which feature, what came, what was
    expected.

    ExampleValidator itself only writes down what it finds. Nodes that must not run on bad data name
    this one with `add_upstream_node`.
    """

    SPEC_CLASS = AnomalyGuardSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, anomalies: types.BaseChannel, schema: types.BaseChannel):
        """Builds the component.

        Args:
          anomalies: ExampleValidator's channel of `ExampleAnomalies`.
          schema: the channel of `Schema` that it used.
        """
        super().__init__(spec=AnomalyGuardSpec(anomalies=anomalies, schema=schema))

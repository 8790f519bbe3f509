"""SliceGuard: every slice that a threshold names has pairs."""

from collections.abc import Iterable

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts
from tfx.utils import json_utils

from components.slice_guard import executor


class SliceGuardSpec(types.ComponentSpec):
    """SliceGuard's input and parameters."""

    PARAMETERS = {
        executor.SLICES: component_spec.ExecutionParameter(type=str),
        executor.SPLIT: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS: dict[str, component_spec.ChannelParameter] = {}


class SliceGuard(base_component.BaseComponent):
    """Fails if the split that is judged has no pair in a slice that a threshold names.

    The Evaluator refuses every model then, so nothing need be trained. That a value stands nowhere
    in the data set is seen before a run; that it stands only in other splits, or never together
    with another one, only once there are splits. Nodes that must not run in vain name this one with
    `add_upstream_node`.
    """

    SPEC_CLASS = SliceGuardSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, examples: types.BaseChannel, *, slices: Iterable[str], split: str):
        """Builds the component.

        Args:
          examples: PairSampler's channel of `Examples`.
          slices: names of single slices, as `core.slices.slice_name` makes them.
          split: the one that is judged.
        """
        super().__init__(
            spec=SliceGuardSpec(
                examples=examples, slices=json_utils.dumps(list(slices)), split=split
            )
        )

"""LeakageGuard: no val or test pair may be one that the model was trained on."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.leakage_guard import executor
from components.leakage_guard.artifacts import LeakageReport
from components.leakage_guard.leaks import Answer


class LeakageGuardSpec(types.ComponentSpec):
    """LeakageGuard's input, output and parameters."""

    PARAMETERS = {
        executor.IMAGE_SIZE: component_spec.ExecutionParameter(type=int),
        executor.NORMALIZE: component_spec.ExecutionParameter(type=str),
        executor.IMAGE_LEAKAGE: component_spec.ExecutionParameter(type=str),
        executor.CAPTION_LEAKAGE: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        executor.REPORT: component_spec.ChannelParameter(type=LeakageReport),
    }


class LeakageGuard(base_beam_component.BaseBeamComponent):
    """Looks for what the judged splits share with train, among the true pairs.

    Three things are compared:

    - the *group*: one that stands on both sides always stops the run;
    - the *picture*, by a hash of the pixels that the model sees, so a copy in another lossless
      format, with another palette or in another file is still the same picture; a picture that
      cannot be decoded is compared by its bytes. What differs in a single pixel, such as a JPEG
      that was compressed again, is not found;
    - the *caption*, by its words as the model reads them: case, punctuation and spaces play no
      part.

    The negatives that PairSampler sets against a picture are taken from its own split, so only
    the true pairs matter.

    A picture in two groups is a mistake in the groups, and stops the run unless told otherwise. The
    same words in two groups are often just common words ("a red bird"), which no split can keep
    apart, so they are a warning unless told otherwise.

    Nodes that must not run on leaking data name this one with `add_upstream_node`.
    """

    SPEC_CLASS = LeakageGuardSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        *,
        image_size: int,
        normalize: str = "",
        image_leakage: Answer,
        caption_leakage: Answer,
    ):
        """Builds the component.

        Args:
          examples: PairSampler's channel of `Examples`.
          image_size: height and width at which the model sees a picture, in pixels.
          normalize: dotted name of the user's function that captions go through before they reach
            the model; may be empty.
          image_leakage: what pictures that stand in train as well are answered with.
          caption_leakage: the same for captions.
        """
        super().__init__(
            spec=LeakageGuardSpec(
                examples=examples,
                report=types.Channel(type=LeakageReport),
                image_size=image_size,
                normalize=normalize,
                image_leakage=image_leakage,
                caption_leakage=caption_leakage,
            )
        )

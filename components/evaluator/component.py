"""Evaluator: TFX's own, which judges only slices that are large enough."""

from collections.abc import Sequence

from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.evaluator import executor


class EvaluatorSpec(standard_component_specs.EvaluatorSpec):
    """TFX's spec with the parameters of `components.evaluator`."""

    PARAMETERS = {
        **standard_component_specs.EvaluatorSpec.PARAMETERS,
        executor.MIN_SLICE_PAIRS: component_spec.ExecutionParameter(type=int),
    }


class Evaluator(base_beam_component.BaseBeamComponent):
    """Measures a model on slices, and blesses it if every bound holds.

    TFX's Evaluator does the work, and TFMA's validation result is the only verdict. Before, the
    pairs of every slice are counted, a bound on every value of a column becomes a bound on each
    slice that is large enough, and bounds on smaller slices are set aside: a figure over a dozen
    pairs says more about chance than about the model. What was set aside is written beside the
    evaluation.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        *,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        eval_config: config_pb2.EvalConfig,
        example_splits: Sequence[str],
        min_slice_pairs: int,
    ):
        """Builds the component.

        Args:
          examples: a channel of `Examples`, PairSampler's.
          model: the candidate, a channel of `Model`.
          baseline_model: the latest blessed model, a channel of `Model` that may be empty.
          eval_config: `modules.evaluator.eval_config`'s.
          example_splits: names of the splits to measure on.
          min_slice_pairs: slices with fewer pairs are measured, but not judged.
        """
        super().__init__(
            spec=EvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                eval_config=eval_config,
                fairness_indicator_thresholds=json_utils.dumps(None),
                example_splits=json_utils.dumps(list(example_splits)),
                min_slice_pairs=min_slice_pairs,
            )
        )

"""PairSampler: sets negatives against the true ones."""

from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts
from tfx.utils import json_utils

from components.pair_sampler import executor


class PairSamplerSpec(types.ComponentSpec):
    """PairSampler's inputs, outputs and parameters."""

    PARAMETERS = {
        executor.SEED: component_spec.ExecutionParameter(type=int),
        executor.RANDOM_NEGATIVES: component_spec.ExecutionParameter(type=int),
        executor.HARD_NEGATIVES: component_spec.ExecutionParameter(type=int),
        executor.TRAIN_HARD_NEGATIVES: component_spec.ExecutionParameter(type=int),
        executor.MAX_TOKENS: component_spec.ExecutionParameter(type=int),
        executor.METADATA_COLUMNS: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        executor.SAMPLED: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class PairSampler(base_beam_component.BaseBeamComponent):
    """Turns true pairs into the pairs that a model is trained on and judged by.

    The val and test splits get every image with its true caption, `random_negatives` captions of
    other groups, and `hard_negatives` captions that are nearly right. The train split keeps its
    true pairs only, because the Trainer draws negatives anew in every step. It draws hard ones from
    `hard_caption`, where each true pair has up to `train_hard_negatives`.

    A hard caption is a caption of another group whose metadata is close to the image's. Among those
    that are set against the images of the judged splits, the ones that the data set brings along
    come first; the Trainer gets none of these, because a caption that is true of no image is known
    by its words.

    The same seed and data give the same pairs, whatever the runner.
    """

    SPEC_CLASS = PairSamplerSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        *,
        seed: int,
        random_negatives: int,
        hard_negatives: int,
        train_hard_negatives: int,
        metadata_columns: Sequence[str],
        max_tokens: int,
    ):
        """Builds the component.

        Args:
          examples: a channel of `Examples` with the features of `core.features`.
          seed: of every draw.
          random_negatives: random negatives per image of a judged split.
          hard_negatives: hard negatives per image of a judged split.
          train_hard_negatives: hard captions beside a true pair, for the Trainer.
          metadata_columns: features that say how close two pairs are.
          max_tokens: words of a caption that the model reads; a warning tells how many have more.
        """
        super().__init__(
            spec=PairSamplerSpec(
                examples=examples,
                sampled_examples=types.Channel(type=standard_artifacts.Examples),
                seed=seed,
                random_negatives=random_negatives,
                hard_negatives=hard_negatives,
                train_hard_negatives=train_hard_negatives,
                max_tokens=max_tokens,
                metadata_columns=json_utils.dumps(list(metadata_columns)),
            )
        )

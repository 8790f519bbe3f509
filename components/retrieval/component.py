"""RetrievalEvaluator: recall at k and median rank over the test split."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.retrieval import executor
from components.retrieval.artifacts import RetrievalMetrics


class RetrievalEvaluatorSpec(types.ComponentSpec):
    """RetrievalEvaluator's inputs, output and parameters."""

    PARAMETERS = {
        executor.SPLIT: component_spec.ExecutionParameter(type=str),
        executor.MOST_PAIRS: component_spec.ExecutionParameter(type=int),
        executor.SEED: component_spec.ExecutionParameter(type=int),
    }
    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {
        executor.METRICS: component_spec.ChannelParameter(type=RetrievalMetrics),
    }


class RetrievalEvaluator(base_component.BaseComponent):
    """Searches all captions of a split for each picture, and all pictures for each caption.

    The gallery is made of the true pairs: each distinct picture and each distinct caption once. An
    item is relevant if some true pair joins the two; a picture with several captions counts by the
    one that is found first, as is usual for COCO. Ties are broken by their middle; see
    `components.retrieval.ranking.rank_of_best`.

    Every picture and every caption is encoded once, with the SavedModel's own `encode_image` and
    `encode_caption`; combinations are scored with its `score_embeddings`, so what is measured is
    what is served.

    TFMA could hold such a metric only as a combiner that gathers the whole split in one worker.
    """

    SPEC_CLASS = RetrievalEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        *,
        split: str,
        most_pairs: int,
        seed: int,
    ):
        """Builds the component.

        Args:
          examples: PairSampler's channel of `Examples`.
          model: the Trainer's channel of `Model`, see `modules.export.signatures`.
          split: what is searched.
          most_pairs: of a split with more true pairs than this, so many are drawn. Time grows with
            its square, and so does memory, by 4 bytes for each combination: 400 MB at 10,000.
          seed: of that draw.
        """
        super().__init__(
            spec=RetrievalEvaluatorSpec(
                examples=examples,
                model=model,
                metrics=types.Channel(type=RetrievalMetrics),
                split=split,
                most_pairs=most_pairs,
                seed=seed,
            )
        )

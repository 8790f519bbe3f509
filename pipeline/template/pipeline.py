"""The pipeline: dexmatch's components, and one of our own."""

import tensorflow_transform as tft
from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types.standard_artifacts import TransformGraph

from core.config import Config
from core.errors import DexmatchError
from modules.preprocessing.captions import VOCABULARY


@component
def VocabularyGuard(transform_graph: InputArtifact[TransformGraph], least: Parameter[int]) -> None:
    """Stops the run before the training if the captions have too few different words."""
    count = tft.TFTransformOutput(transform_graph.uri).vocabulary_size_by_name(VOCABULARY)
    if count < least:
        raise DexmatchError(f"the captions have {count} words to learn from, and need {least}")


def components(nodes: dict[str, BaseNode], config: Config) -> list[BaseNode]:
    """Adds components.

    Args:
      nodes: dexmatch's, by id; see `create_pipeline` in pipeline/pipeline.py.
      config: the whole configuration.

    Returns:
      All of `nodes`, and our own.
    """
    guard = VocabularyGuard(
        transform_graph=nodes["Transform"].outputs["transform_graph"],
        least=min(20, config.caption.vocabulary_size),
    )
    nodes["Trainer"].add_upstream_node(guard)
    return [*nodes.values(), guard]

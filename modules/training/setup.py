"""All that a training needs to know beside the pairs: configuration, vocabularies, devices."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from core import config as configs
from core import reporting
from core.config import Config, TrainerConfig
from modules.network import user_model
from modules.network.model import PairModel
from modules.preprocessing import attributes as attribute_files
from modules.preprocessing import captions
from modules.training import distribution

_log = logging.getLogger(f"{reporting.LOGGER}.setup")

Attributes = dict[str, list[str]]
"""Metadata feature to its values in the training split, in the order of their ids."""


@dataclass(frozen=True)
class TrainingSetup:
    """Configuration, vocabularies and devices of a training.

    Attributes:
      config: of it, the sections that decide a training.
      strategy: how many replicas there are.
      vocabulary_file: Transform's vocabulary, a word a line.
      vocabulary: the same words, in the order of their ids.
      attributes: what a model learns to read from images and captions.
      base_model: where `model.weights = "last_blessed"` goes on from; None if there is none yet.
    """

    config: Config
    strategy: tf.distribute.Strategy
    vocabulary_file: str
    vocabulary: list[str]
    attributes: Attributes
    base_model: str | None

    @classmethod
    def read(
        cls,
        custom_config: Mapping[str, Any],
        transform: tft.TFTransformOutput,
        base_model: str | None,
    ) -> "TrainingSetup":
        """Reads what Transform found in the data; call it before TensorFlow does anything else.

        Args:
          custom_config: sections of the configuration as dicts, and `attributes`, the names of the
            metadata features.
          transform: where the vocabularies are.
          base_model: folder of the last blessed SavedModel.

        Raises:
          DexmatchError: a section is none of today's, or the environment does not fit
            `trainer.strategy`.
        """
        config = configs.validate(
            {name: custom_config[name] for name in Config.model_fields if name in custom_config}
        )
        strategy = distribution.strategy(config.trainer.strategy)
        _warn_without_gpu(config.trainer)
        return cls(
            config=config,
            strategy=strategy,
            vocabulary_file=transform.vocabulary_file_by_name(captions.VOCABULARY),
            vocabulary=_lines(transform, captions.VOCABULARY),
            attributes={
                attribute: _lines(transform, attribute_files.vocabulary_name(index))
                for index, attribute in enumerate(custom_config["attributes"])
            },
            base_model=base_model,
        )

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, padding and OOV included."""
        return captions.FIRST_WORD_ID + len(self.vocabulary)

    def build_model(self) -> PairModel:
        """A model with its first weights.

        Raises:
          DexmatchError: the backbone's weights cannot be had or do not fit, or there is no such
            function as `model.build` names.
        """
        return user_model.build_function(self.config.model)(
            self.config.model,
            self.config.image.size,
            self.config.caption.max_tokens,
            self.vocabulary_size,
            [len(values) for values in self.attributes.values()],
        )


def _warn_without_gpu(settings: TrainerConfig) -> None:
    """Says so where what makes a GPU faster is asked for and there is none."""
    asked = [f'trainer.precision = "{settings.precision}"'] * (settings.precision != "float32")
    asked += ["trainer.xla = true"] * settings.xla
    if asked and not tf.config.list_physical_devices("GPU"):
        _log.warning("%s without a GPU: expect a slower training", " and ".join(asked))


def _lines(transform: tft.TFTransformOutput, vocabulary: str) -> list[str]:
    return [line.decode() for line in transform.vocabulary_by_name(vocabulary)]

"""All that decides a training but the data, and models trained so."""

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from core.config import (
    LAST_BLESSED,
    AugmentConfig,
    CaptionConfig,
    ImageConfig,
    ModelConfig,
    TrainerConfig,
)
from modules.network import model
from modules.preprocessing import attributes, captions
from modules.training import distribution, fitting, training, warm_start


@dataclass(frozen=True)
class Learner:
    """Trains models of the same architecture, with the same settings, on different pairs.

    Attributes:
      image: the section.
      caption: the section.
      architecture: the section `model`.
      settings: the section `trainer`.
      augmentation: the section `augment`.
      strategy: how many replicas there are.
      vocabulary_file: Transform's vocabulary, a word a line.
      vocabulary: the same words, in the order of their ids.
      attributes: what a model learns to read from pictures and captions: each metadata feature
        with its values in the training split, in the order of their ids.
      base_model: where `model.weights = "last_blessed"` goes on from; None if there is none yet.
    """

    image: ImageConfig
    caption: CaptionConfig
    architecture: ModelConfig
    settings: TrainerConfig
    augmentation: AugmentConfig
    strategy: tf.distribute.Strategy
    vocabulary_file: str
    vocabulary: list[str]
    attributes: dict[str, list[str]]
    base_model: str | None

    @classmethod
    def of(
        cls,
        config: dict[str, Any],
        transform: tft.TFTransformOutput,
        base_model: str | None,
    ) -> "Learner":
        """Reads what Transform found in the data; call it before TensorFlow does anything else.

        Args:
          config: the sections as dicts, and `attributes`, the names of the metadata features.
          transform: where the vocabularies are.
          base_model: folder of the last blessed SavedModel.

        Raises:
          DexmatchError: the environment does not fit `trainer.strategy`.
        """
        settings = TrainerConfig(**config["trainer"])
        strategy = distribution.strategy(settings.strategy)
        names = [attributes.vocabulary_name(k) for k in range(len(config["attributes"]))]
        return cls(
            image=ImageConfig(**config["image"]),
            caption=CaptionConfig(**config["caption"]),
            architecture=ModelConfig(**config["model"]),
            settings=settings,
            augmentation=AugmentConfig(**config["augment"]),
            strategy=strategy,
            vocabulary_file=transform.vocabulary_file_by_name(captions.VOCABULARY),
            vocabulary=_lines(transform, captions.VOCABULARY),
            attributes={
                attribute: _lines(transform, name)
                for attribute, name in zip(config["attributes"], names, strict=True)
            },
            base_model=base_model,
        )

    def train(self, data: fitting.Data, folders: fitting.Folders) -> training.PairTrainer:
        """Trains one model, from its first weights on; the same data give the same model.

        Args:
          data: what it learns from, and is watched on.
          folders: where to write.

        Raises:
          DexmatchError: the weights do not fit, or see `fitting.Training.run`.
        """
        keras.utils.set_random_seed(self.settings.seed)
        vocabulary_size = captions.FIRST_WORD_ID + len(self.vocabulary)
        with self.strategy.scope():
            pair_model = model.build(
                self.architecture,
                self.image.size,
                self.caption.max_tokens,
                vocabulary_size,
                [len(values) for values in self.attributes.values()],
            )
            trainer = training.PairTrainer(
                pair_model, vocabulary_size, self.settings, self.augmentation
            )
        if self.architecture.weights == LAST_BLESSED:
            warm_start.load(
                pair_model,
                self.base_model,
                self.architecture,
                self.image.size,
                self.caption.max_tokens,
                self.vocabulary_file,
                self.attributes,
            )
        fitting.Training(
            trainer, data, self.settings, self.augmentation, folders, self.vocabulary
        ).run()
        return trainer


def _lines(transform: tft.TFTransformOutput, vocabulary: str) -> list[str]:
    return [line.decode() for line in transform.vocabulary_by_name(vocabulary)]

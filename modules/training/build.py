"""From a training's setup to a model that is ready to be fitted, and to one that is served."""

import contextlib
from collections.abc import Iterator

import keras

from core.config import LAST_BLESSED
from modules.network import backbones
from modules.network.model import PairModel
from modules.training import distribution, warm_start
from modules.training.pair_trainer import PairTrainer
from modules.training.setup import TrainingSetup

_FLOAT32 = "float32"


def build_trainer(setup: TrainingSetup) -> PairTrainer:
    """Builds a model with its first weights; the same setup gives the same weights.

    Its layers compute as `trainer.precision` says. What is around it, the losses too, and all
    weights are float32.

    Raises:
      DexmatchError: the weights cannot be had or do not fit the architecture.
    """
    config = setup.config
    keras.utils.set_random_seed(config.trainer.seed)
    with setup.strategy.scope():
        with _dtype_policy(config.trainer.precision):
            pair_model = setup.build_model()
        if setup.strategy.num_replicas_in_sync > 1:
            distribution.synchronize_batch_norm(pair_model)
        trainer = PairTrainer(pair_model, setup.vocabulary_size, config.trainer, config.augment)
    if config.model.weights == LAST_BLESSED:
        warm_start.load_last_blessed(pair_model, setup)
    return trainer


def in_float32(model: PairModel, setup: TrainingSetup) -> PairModel:
    """The same weights in a model that computes in float32; the model itself if it does.

    Raises:
      DexmatchError: see `build_trainer`.
    """
    if setup.config.trainer.precision == _FLOAT32:
        return model
    with setup.strategy.scope(), _dtype_policy(_FLOAT32):
        built = setup.build_model()
    built.set_weights(model.get_weights())
    backbones.finalize_normalization(built)
    return built


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Keras' global policy, which layers take as they are made."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

"""From a training's setup to a model that is ready to be fitted."""

import keras

from core.config import LAST_BLESSED
from modules.training import distribution, warm_start
from modules.training.pair_trainer import PairTrainer
from modules.training.setup import TrainingSetup


def build_trainer(setup: TrainingSetup) -> PairTrainer:
    """Builds a model with its first weights; the same setup gives the same weights.

    Raises:
      DexmatchError: the weights cannot be had or do not fit the architecture.
    """
    config = setup.config
    keras.utils.set_random_seed(config.trainer.seed)
    with setup.strategy.scope():
        pair_model = setup.build_model()
        if setup.strategy.num_replicas_in_sync > 1:
            distribution.synchronize_batch_norm(pair_model)
        trainer = PairTrainer(pair_model, setup.vocabulary_size, config.trainer, config.augment)
    if config.model.weights == LAST_BLESSED:
        warm_start.load_last_blessed(pair_model, setup)
    return trainer

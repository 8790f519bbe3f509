"""The user's functions, tried before a run: a mistake in them costs seconds, not a training."""

import tensorflow as tf

from core.config import Config
from core.user_functions import describe, load_function
from modules.export import folding
from modules.network import user_model
from modules.network.model import PairModel
from modules.preprocessing import user_normalization
from pipeline import user_components

# Two attributes, so that a model which is to read some is tried with them.
_ATTRIBUTE_SIZES = (3, 2)


def check(config: Config) -> None:
    """Imports each function that the configuration names, and tries it where that can be done.

    Args:
      config: whose functions can be imported.

    Raises:
      DexmatchError: one cannot be imported, takes other arguments, or does not keep its contract.
    """
    if name := config.run.components:
        load_function(user_components.KEY, name, user_components.PARAMETERS)
    if config.trainer.strategy == "multi_worker":
        # Its collective operations must be set up before TensorFlow does anything.
        user_normalization.function(config.caption.normalize)
        user_model.build_function(config.model)
        return
    user_normalization.check(config.caption.normalize)
    if config.model.build:
        built = user_model.check(
            config.model,
            config.image.size,
            config.caption.max_tokens,
            _ATTRIBUTE_SIZES if config.model.attributes else (),
        )
        _check_it_can_be_served(built, config)


def _check_it_can_be_served(built: PairModel, config: Config) -> None:
    """What is served is a copy of the image encoder, which is made after the training."""
    pixels = tf.zeros((1, config.image.size, config.image.size, 3))
    try:
        folding.frozen(built.image_encoder)(pixels)
    except Exception as error:  # Whatever Keras, or a layer of the user's, raises.
        told = describe(error, config.model.build)
        raise user_model.refused(
            config.model,
            f"image_encoder cannot be copied, as serving needs it ({told}); give its layers a "
            "get_config",
        ) from error

"""The function that builds the model: ours, or the user's that `model.build` names, and its check.

Its contract is that of `modules.network.model.build`; docs/extend.md tells it to who writes one.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from core.config import ModelConfig
from core.errors import DexmatchError
from core.user_functions import describe, load_function
from modules.network import backbones, model
from modules.network.layers import Agreement, Calibration
from modules.network.model import PairModel

KEY = "model.build"
PARAMETERS = ("settings", "image_size", "max_tokens", "vocabulary_size", "attribute_sizes")

Build = Callable[[ModelConfig, int, int, int, Sequence[int]], PairModel]


def build_function(settings: ModelConfig) -> Build:
    """What builds the model.

    Raises:
      DexmatchError: there is no such function; see `load_function`.
    """
    if not settings.build:
        return model.build
    return load_function(KEY, settings.build, PARAMETERS)


def check(
    settings: ModelConfig, image_size: int, max_tokens: int, attribute_sizes: Sequence[int]
) -> PairModel:
    """Builds the user's model once, from random weights, and sees whether it keeps the contract.

    Args:
      settings: the `model` section.
      image_size: height and width of the pictures.
      max_tokens: length of the padded captions.
      attribute_sizes: how many values each attribute has; one at least, so that this is tried too.

    Returns:
      What it built.

    Raises:
      DexmatchError: it does not; names the key, the function, and what is wrong.
    """
    build = build_function(settings)
    random = settings.model_copy(update={"weights": backbones.NO_WEIGHTS})
    vocabulary_size = 8
    problem = None
    try:
        built = build(random, image_size, max_tokens, vocabulary_size, attribute_sizes)
        problem = _problem(built, settings, image_size, max_tokens, attribute_sizes)
        if problem is None:
            pixels = np.full((2, image_size, image_size, 3), 128, np.float32)
            tokens = np.ones((2, max_tokens), np.int64)
            logits = np.asarray(built((pixels, tokens)))
            if logits.dtype != np.float32 or not np.isfinite(logits).all():
                problem = f"its logits must be finite float32, and are {logits.dtype} {logits}"
    except DexmatchError:
        raise
    except Exception as error:
        raise DexmatchError(f"{KEY}: {describe(error, settings.build)}") from error
    finally:
        # Names of layers count up in a process.
        keras.utils.clear_session()
    if problem:
        raise refused(settings, problem)
    return built


def refused(settings: ModelConfig, problem: str) -> DexmatchError:
    """The error that tells what is wrong with the user's model."""
    return DexmatchError(f"{KEY} = {settings.build!r}: {problem}; see docs/extend.md")


def _problem(
    built: object,
    settings: ModelConfig,
    image_size: int,
    max_tokens: int,
    attribute_sizes: Sequence[int],
) -> str | None:
    """What training or export would stumble over; None if they would not."""
    if not isinstance(built, PairModel):
        return f"it must return a PairModel, and returns {type(built).__name__}"
    width = settings.embedding_dim
    pixels = (None, image_size, image_size, 3)
    parts = {
        "image_encoder": (built.image_encoder, pixels, (None, width)),
        "caption_encoder": (built.caption_encoder, (None, max_tokens), (None, width)),
        "matcher": (built.matcher, [(None, width), (None, width)], (None,)),
    }
    for name, (part, takes, gives) in parts.items():
        if part.input_shape != takes or part.output_shape != gives:
            return (
                f"{name} must map {_shapes(takes)} to {_shapes(gives)}, and maps "
                f"{_shapes(part.input_shape)} to {_shapes(part.output_shape)}"
            )
    for name in (model.IMAGE_FEATURES, model.IMAGE_HEAD):
        if not isinstance(_layer(built.image_encoder, name), keras.Model):
            return f"image_encoder has no model named {name!r} in it"
    if not isinstance(_layer(built.matcher, model.CALIBRATION), Calibration):
        return f"matcher has no layer Calibration named {model.CALIBRATION!r}"
    reads = _layer(built.matcher, model.ATTRIBUTES)
    if attribute_sizes and not isinstance(reads, Agreement):
        return (
            f"matcher has no layer Agreement named {model.ATTRIBUTES!r}, by which it learns "
            "model.attributes; give it one, or set them to []"
        )
    if isinstance(reads, Agreement) and reads.sizes != tuple(attribute_sizes):
        return f"the layer {model.ATTRIBUTES!r} must have the sizes that `build` is given"
    return None


def _layer(part: keras.Model, name: str) -> keras.layers.Layer | None:
    return next((layer for layer in part.layers if layer.name == name), None)


def _shapes(shape: object) -> str:
    return str(shape).replace("None", "N")

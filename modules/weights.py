"""Where the backbone's weights come from, and a check that needs no TensorFlow.

`check` runs before a pipeline starts, so that a mistake costs a second and not the time until the
Trainer; `load_backbone` runs in the Trainer.
"""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import DexmatchError

if TYPE_CHECKING:
    import keras

NONE = "none"
IMAGENET = "imagenet"

_HOST = "storage.googleapis.com"
_HOST_TIMEOUT_S = 3.0


def check(backbone: str, weights: str) -> None:
    """Raises if the weights cannot be had, before anything expensive starts.

    Args:
      backbone: name of a `keras.applications` factory, such as "EfficientNetB0".
      weights: "none", "imagenet" or the path of a weights file.

    Raises:
      DexmatchError: the file is missing, or ImageNet weights are neither cached nor in reach.
    """
    if weights == NONE:
        return
    if weights == IMAGENET:
        cached = imagenet_cache(backbone)
        if not cached.exists() and not _in_reach(_HOST):
            raise DexmatchError(
                f'model.weights = "imagenet": {_HOST} cannot be reached; put {cached.name} into '
                f'{cached.parent}, or set model.weights to "none" or to a weights file'
            )
        return
    if not Path(weights).is_file():
        raise DexmatchError(
            f'model.weights = "{weights}": no such file; use "imagenet", "none" or the path of a '
            "Keras weights file (.weights.h5 or .h5)"
        )


def imagenet_cache(backbone: str) -> Path:
    """The place where Keras keeps a backbone's downloaded ImageNet weights."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    name = backbone.lower().replace("v2", "v2-")
    return home / "models" / f"{name}_notop.h5"


def _in_reach(host: str) -> bool:
    try:
        with socket.create_connection((host, 443), timeout=_HOST_TIMEOUT_S):
            return True
    except OSError:
        return False


def load_backbone(backbone: str, weights: str, size: int) -> "keras.Model":
    """Builds a `keras.applications` backbone without its classifier.

    Args:
      backbone: name of the factory.
      weights: "none", "imagenet" (Keras' own download and cache) or the path of a weights file that
        was saved from the same backbone without its top.
      size: height and width of the pictures.

    Returns:
      A model from uint8 pixels [N, size, size, 3] in 0..255 (it scales them itself) to feature
      maps.

    Raises:
      DexmatchError: the weights cannot be had or belong to another architecture.
    """
    import keras

    check(backbone, weights)
    factory = getattr(keras.applications, backbone)
    try:
        return factory(
            include_top=False,
            weights=None if weights == NONE else weights,
            input_shape=(size, size, 3),
        )
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise DexmatchError(
            f'model.weights = "{weights}": these are no weights of {backbone} without its top '
            f"({reason})"
        ) from error
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        raise DexmatchError(
            f'model.weights = "{weights}": cannot be downloaded ({error}); try again, or give the '
            "path of a weights file"
        ) from error

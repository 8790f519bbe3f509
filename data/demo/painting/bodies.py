"""The silhouettes. A body is drawn as a mask, so that shading and pattern follow its outline."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from data.demo.painting.canvas import Canvas, Point

_ON = 255


@dataclass(frozen=True)
class Anatomy:
    """Where the rest of a creature goes, in canvas units; it looks to the right.

    Attributes:
      head: middle of the face.
      head_radius: of the face; sizes of eyes and ornaments follow it.
      belly: middle of the pale patch.
      belly_radii: of the pale patch.
      beak: whether it has one instead of a mouth.
    """

    head: Point
    head_radius: float
    belly: Point
    belly_radii: Point
    beak: bool = False


def draw_body(mask: Canvas, body: str, generator: random.Random) -> Anatomy:
    """Draws a silhouette.

    Args:
      mask: mode "L", empty.
      body: one of `creatures.BODIES`.
      generator: of the proportions.

    Returns:
      Where face, belly and ornament belong.
    """
    return _PAINTERS[body](mask, generator)


def _blob(mask: Canvas, generator: random.Random) -> Anatomy:
    wide, tall = generator.uniform(27, 31), generator.uniform(23, 26)
    mask.ellipse((50, 58), (wide, tall), _ON)
    mask.ellipse((50, 50), (wide * 0.82, tall), _ON)
    for x in (36, 64):
        mask.ellipse((x, 81), (8, 4.5), _ON)
    return Anatomy((50, 50), 16, (50, 68), (15, 11))


def _bird(mask: Canvas, generator: random.Random) -> Anatomy:
    lift = generator.uniform(-3, 3)
    mask.ellipse((50, 60), (17, 21), _ON)
    mask.ellipse((54, 36), (14, 13), _ON)
    # One wing spread behind, one raised: nothing else here has this outline.
    mask.polygon([(44, 50), (8, 36 + lift), (14, 52), (10, 60), (22, 66), (44, 70)], _ON)
    mask.polygon([(58, 52), (92, 38 - lift), (86, 53), (90, 62), (78, 67), (58, 70)], _ON)
    mask.polygon([(40, 74), (26, 92), (38, 88), (46, 94), (54, 78)], _ON)
    for x in (50, 58):
        mask.stroke([(x, 78), (x, 88), (x + 4, 89)], 2.6, _ON)
    return Anatomy((55, 36), 13, (52, 62), (11, 14), beak=True)


def _serpent(mask: Canvas, generator: random.Random) -> Anatomy:
    swing = generator.uniform(17, 20)
    spine = []
    for step in range(41):
        share = step / 40
        x = 12 + share * 56
        y = 68 + math.sin(share * 2.6 * math.pi + 0.4) * swing * (0.35 + 0.5 * share)
        spine.append((x, y, 3.5 + 6.5 * min(1.0, share * 1.6)))
    for x, y, radius in spine:
        mask.ellipse((x, y), (radius, radius), _ON)
    x, y, _ = spine[-1]
    head = (76.0, 34.0)
    for step in range(21):
        share = step / 20
        mask.ellipse((x + (head[0] - x) * share, y + (head[1] - y) * share), (9.5, 9.5), _ON)
    mask.ellipse(head, (14, 12), _ON)
    return Anatomy(head, 12, (72, 56), (6, 14))


def _quadruped(mask: Canvas, generator: random.Random) -> Anatomy:
    leg = generator.uniform(19, 22)
    mask.ellipse((44, 58), (25, 15), _ON)
    for x in (24, 35, 54, 65):
        mask.stroke([(x, 62), (x, 66 + leg)], 8, _ON)
    mask.stroke([(56, 54), (68, 42)], 15, _ON)
    mask.ellipse((72, 38), (15, 13.5), _ON)
    tail = generator.uniform(30, 38)
    mask.stroke([(22, 54), (11, tail + 8), (9, tail)], 5, _ON)
    mask.ellipse((9, tail), (5, 5), _ON)
    return Anatomy((74, 38), 13, (45, 66), (16, 7))


def _fish(mask: Canvas, generator: random.Random) -> Anatomy:
    mask.ellipse((55, 56), (31, 19), _ON)
    spread = generator.uniform(19, 23)
    mask.polygon([(30, 56), (6, 56 - spread), (13, 56), (6, 56 + spread)], _ON)
    mask.polygon([(40, 42), (48, 26), (68, 41)], _ON)
    mask.polygon([(44, 71), (40, 86), (60, 73)], _ON)
    return Anatomy((70, 51), 12, (58, 67), (19, 7))


def _butterfly(mask: Canvas, generator: random.Random) -> Anatomy:
    spread = generator.uniform(22, 25)
    for side in (-1, 1):
        mask.ellipse((50 + side * spread, 43), (20, 20), _ON)
        mask.ellipse((50 + side * (spread - 5), 72), (15, 14), _ON)
    mask.ellipse((50, 60), (8, 25), _ON)
    mask.ellipse((50, 36), (13, 12), _ON)
    return Anatomy((50, 36), 12, (50, 66), (7, 15))


_PAINTERS: dict[str, Callable[[Canvas, random.Random], Anatomy]] = {
    "blob": _blob,
    "bird": _bird,
    "serpent": _serpent,
    "quadruped": _quadruped,
    "fish": _fish,
    "butterfly": _butterfly,
}

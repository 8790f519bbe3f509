"""What is painted on a body: pattern, face and ornament."""

import random
from collections.abc import Callable

from data.demo.painting.bodies import Anatomy
from data.demo.painting.canvas import Canvas, Color, Point
from data.demo.painting.palette import Coat

_INK = (32, 26, 44)
_WHITE = (255, 255, 255)
_GOLD, _DARK_GOLD = (255, 204, 40), (190, 128, 10)
_LEAF, _DARK_LEAF = (110, 214, 60), (40, 130, 40)
_HORN, _DARK_HORN = (244, 226, 190), (150, 116, 80)
_FIRE, _HOT = (255, 110, 20), (255, 222, 80)


def paint_pattern(
    canvas: Canvas, pattern: str, coat: Coat, anatomy: Anatomy, generator: random.Random
) -> None:
    """Paints a pattern over the whole canvas; the caller cuts it to the body.

    Args:
      canvas: RGBA.
      pattern: one of `creatures.PATTERNS`.
      coat: the colours.
      anatomy: where the belly is.
      generator: of the details.
    """
    if pattern == "spots":
        _spots(canvas, coat.marking, generator)
    elif pattern == "stripes":
        _stripes(canvas, coat.marking, generator)
    elif pattern == "belly":
        canvas.ellipse(anatomy.belly, anatomy.belly_radii, coat.belly)


def _spots(canvas: Canvas, color: Color, generator: random.Random) -> None:
    for row in range(6):
        for column in range(6):
            # Rows are shifted like bricks, so that spots do not line up to stripes.
            x = 6 + 17 * column + (8.5 if row % 2 else 0) + generator.uniform(-2, 2)
            y = 14 + 15 * row + generator.uniform(-2, 2)
            radius = generator.uniform(3.6, 4.8)
            canvas.ellipse((x, y), (radius, radius), color)


def _stripes(canvas: Canvas, color: Color, generator: random.Random) -> None:
    slant = generator.uniform(4, 10)
    start = generator.uniform(-8, 2)
    for index in range(9):
        x = start + index * 13
        canvas.polygon(
            [(x + slant, 0), (x + slant + 5.5, 0), (x + 5.5 - slant, 100), (x - slant, 100)], color
        )


def paint_face(canvas: Canvas, anatomy: Anatomy, generator: random.Random) -> None:
    """Paints eyes, mouth or beak, and cheeks."""
    (x, y), radius = anatomy.head, anatomy.head_radius
    apart, eye = radius * 0.5, radius * generator.uniform(0.34, 0.4)
    gaze = generator.uniform(-0.2, 0.3) * eye
    sleepy = generator.random() < 0.15
    for side in (-1, 1):
        center = (x + side * apart, y - radius * 0.05)
        if sleepy:
            canvas.arc(center, (eye, eye), (10, 170), radius * 0.16, _INK)
        else:
            _eye(canvas, center, eye, gaze)
        cheek = (x + side * radius * 0.82, y + radius * 0.42)
        canvas.ellipse(cheek, (radius * 0.17, radius * 0.12), (255, 150, 150))
    if anatomy.beak:
        tip = (x + radius * 0.1, y + radius * 0.85)
        canvas.polygon(
            [(x - radius * 0.3, y + radius * 0.35), (x + radius * 0.4, y + radius * 0.35), tip],
            (255, 160, 30),
        )
    else:
        smile = (x, y + radius * 0.38)
        canvas.arc(smile, (radius * 0.3, radius * 0.24), (15, 165), radius * 0.12, _INK)


def _eye(canvas: Canvas, center: Point, radius: float, gaze: float) -> None:
    x, y = center
    canvas.ellipse(center, (radius * 1.1, radius * 1.25), _INK)
    canvas.ellipse(center, (radius * 0.92, radius * 1.08), _WHITE)
    canvas.ellipse((x + gaze, y + radius * 0.08), (radius * 0.68, radius * 0.82), _INK)
    canvas.ellipse((x + gaze - radius * 0.22, y - radius * 0.3), (radius * 0.28,) * 2, _WHITE)


def paint_part(canvas: Canvas, part: str, anatomy: Anatomy, generator: random.Random) -> None:
    """Paints what a creature has on its head.

    Args:
      canvas: RGBA.
      part: one of `creatures.PARTS`.
      anatomy: where the head is.
      generator: of the details.
    """
    painter = _PARTS.get(part)
    if painter:
        x, y = anatomy.head
        painter(canvas, (x, y - anatomy.head_radius * 0.85), anatomy.head_radius, generator)


def _horns(canvas: Canvas, foot: Point, size: float, generator: random.Random) -> None:
    x, y = foot
    bend = generator.uniform(0.8, 1.1) * size
    for side in (-1, 1):
        base, knee = (
            (x + side * size * 0.45, y + size * 0.2),
            (x + side * size * 0.95, y - size * 0.3),
        )
        tip = (x + side * size * 0.75, y - bend)
        for width, color in ((0.46, _DARK_HORN), (0.3, _HORN)):
            canvas.stroke([base, knee], width * size, color)
            canvas.stroke([knee, tip], width * size * 0.75, color)


def _crown(canvas: Canvas, foot: Point, size: float, generator: random.Random) -> None:
    x, y = foot
    tall = generator.uniform(0.85, 1.0) * size
    for grow, color in ((0.1, _DARK_GOLD), (0.0, _GOLD)):
        wide, low, high = size * (0.75 + grow), y + size * (0.15 + grow), y - tall - grow * size
        middle = y - tall * 0.4
        canvas.polygon(
            [
                (x - wide, low),
                (x - wide * 1.1, high),
                (x - wide * 0.5, middle),
                (x, high - size * 0.12),
                (x + wide * 0.5, middle),
                (x + wide * 1.1, high),
                (x + wide, low),
            ],
            color,
        )
    for offset in (-0.45, 0, 0.45):
        canvas.ellipse((x + offset * size, y - size * 0.08), (size * 0.13,) * 2, (220, 40, 70))


def _leaf(canvas: Canvas, foot: Point, size: float, generator: random.Random) -> None:
    x, y = foot
    lean = generator.uniform(-0.15, 0.15) * size
    top = (x + lean, y - size * 0.45)
    canvas.stroke([(x, y + size * 0.2), top], size * 0.2, _DARK_LEAF)
    for side in (-1, 1):
        for grow, color in ((0.12, _DARK_LEAF), (0.0, _LEAF)):
            reach = size * (1.05 + grow)
            points = [
                (top[0] - side * grow * size, top[1] + grow * size),
                (top[0] + side * reach * 0.45, top[1] - reach * 0.75),
                (top[0] + side * reach, top[1] - reach * 0.55),
                (top[0] + side * reach * 0.75, top[1] + reach * 0.05),
            ]
            canvas.polygon(points, color)


def _flame(canvas: Canvas, foot: Point, size: float, generator: random.Random) -> None:
    x, y = foot
    lean = generator.uniform(-0.25, 0.25) * size
    for grow, color in ((1.0, (214, 52, 10)), (0.88, _FIRE), (0.5, _HOT)):
        wide, tall = size * 0.75 * grow, size * 1.6 * grow
        low = y + size * 0.2
        canvas.polygon(
            [
                (x - wide * 0.6, low),
                (x - wide, low - tall * 0.4),
                (x - wide * 0.45, low - tall * 0.62),
                (x + lean, low - tall),
                (x + wide * 0.4, low - tall * 0.58),
                (x + wide, low - tall * 0.4),
                (x + wide * 0.6, low),
            ],
            color,
        )


def _antennae(canvas: Canvas, foot: Point, size: float, generator: random.Random) -> None:
    x, y = foot
    tall = generator.uniform(1.25, 1.45) * size
    for side in (-1, 1):
        tip = (x + side * size * 0.8, y - tall)
        stalk = [
            (x + side * size * 0.25, y + size * 0.15),
            (x + side * size * 0.4, y - tall * 0.5),
            tip,
        ]
        canvas.stroke(stalk, size * 0.2, _WHITE)
        canvas.stroke(stalk, size * 0.13, _INK)
        canvas.ellipse(tip, (size * 0.32,) * 2, _INK)
        canvas.ellipse(tip, (size * 0.24,) * 2, (250, 250, 250))


_PARTS: dict[str, Callable[[Canvas, Point, float, random.Random], None]] = {
    "horns": _horns,
    "crown": _crown,
    "leaf": _leaf,
    "flame": _flame,
    "antennae": _antennae,
}

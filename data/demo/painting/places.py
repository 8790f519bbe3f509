"""Where the creatures are: one painter a place, each a large area of its own colours."""

import random
from collections.abc import Callable

from data.demo.painting.canvas import Canvas, Color


def paint_place(canvas: Canvas, place: str, generator: random.Random) -> None:
    """Fills a canvas with a place.

    Args:
      canvas: RGB.
      place: one of `creatures.PLACES`.
      generator: of the details.
    """
    _PAINTERS[place](canvas, generator)


def _meadow(canvas: Canvas, generator: random.Random) -> None:
    canvas.gradient((178, 226, 255), (236, 250, 255))
    _sun(canvas, (generator.uniform(12, 88), 14), (255, 244, 180))
    _hill(canvas, generator, 62, (176, 224, 120))
    _hill(canvas, generator, 74, (150, 208, 92))
    for _ in range(14):
        x, y = generator.uniform(2, 98), generator.uniform(76, 98)
        petal = generator.choice([(255, 255, 255), (255, 214, 90), (255, 150, 190)])
        for dx, dy in ((-1.4, 0), (1.4, 0), (0, -1.4), (0, 1.4)):
            canvas.ellipse((x + dx, y + dy), (1.2, 1.2), petal)
        canvas.ellipse((x, y), (0.9, 0.9), (240, 170, 40))


def _night(canvas: Canvas, generator: random.Random) -> None:
    canvas.gradient((18, 22, 74), (58, 62, 142))
    for _ in range(26):
        radius = generator.uniform(0.4, 1.1)
        point = (generator.uniform(0, 100), generator.uniform(0, 70))
        canvas.ellipse(point, (radius, radius), (255, 250, 214))
    x, y = generator.uniform(14, 86), generator.uniform(12, 20)
    canvas.ellipse((x, y), (9, 9), (255, 246, 190))
    canvas.ellipse((x + 4.5, y - 2), (8, 8), (26, 30, 86))
    _hill(canvas, generator, 80, (26, 28, 66))


def _sea(canvas: Canvas, generator: random.Random) -> None:
    canvas.gradient((96, 220, 226), (10, 128, 168))
    for _ in range(5):
        x = generator.uniform(-10, 90)
        ray = [(x, 0), (x + 8, 0), (x + 24, 100), (x + 8, 100)]
        canvas.polygon(ray, (86, 206, 218))
    _hill(canvas, generator, 88, (232, 216, 160))
    for _ in range(4):
        x = generator.uniform(4, 96)
        weed = [(x + (2 if step % 2 else -2), 92 - step * 5) for step in range(6)]
        canvas.stroke(weed, 2, (20, 120, 100))
    for _ in range(12):
        radius = generator.uniform(1, 2.6)
        point = (generator.uniform(3, 97), generator.uniform(4, 80))
        canvas.ellipse(point, (radius, radius), (196, 246, 250))
        canvas.ellipse(point, (radius * 0.65, radius * 0.65), (110, 216, 226))


def _desert(canvas: Canvas, generator: random.Random) -> None:
    canvas.gradient((255, 206, 130), (255, 240, 204))
    _sun(canvas, (generator.uniform(14, 86), 18), (255, 250, 222))
    _hill(canvas, generator, 60, (236, 190, 112))
    _hill(canvas, generator, 74, (222, 168, 84))
    x = generator.choice([generator.uniform(6, 16), generator.uniform(84, 94)])
    green = (86, 132, 72)
    canvas.stroke([(x, 76), (x, 50)], 5, green)
    canvas.stroke([(x, 64), (x + 6, 62), (x + 6, 56)], 3, green)
    canvas.stroke([(x, 68), (x - 6, 66), (x - 6, 60)], 3, green)


def _snow(canvas: Canvas, generator: random.Random) -> None:
    canvas.gradient((186, 206, 226), (226, 236, 246))
    for _ in range(4):
        x, y = generator.uniform(0, 100), generator.uniform(58, 66)
        for step in range(3):
            wide = 9 - step * 2
            tip = y - 18 - step * 7
            canvas.polygon(
                [(x - wide, y - step * 8), (x + wide, y - step * 8), (x, tip)], (104, 138, 140)
            )
    _hill(canvas, generator, 62, (240, 245, 252))
    _hill(canvas, generator, 78, (252, 253, 255))
    for _ in range(34):
        radius = generator.uniform(0.7, 1.5)
        point = (generator.uniform(0, 100), generator.uniform(0, 74))
        canvas.ellipse(point, (radius, radius), (255, 255, 255))


def _cave(canvas: Canvas, generator: random.Random) -> None:
    canvas.gradient((62, 50, 48), (104, 86, 76))
    for left in range(-4, 108, 11):
        length = generator.uniform(8, 24)
        canvas.polygon([(left, 0), (left + 11, 0), (left + 5.5, length)], (44, 35, 35))
    _hill(canvas, generator, 78, (74, 60, 54))
    for _ in range(4):
        x, y = generator.uniform(4, 96), generator.uniform(84, 96)
        glow = generator.choice([(130, 220, 210), (220, 160, 230), (240, 190, 110)])
        tall = generator.uniform(8, 15)
        canvas.polygon([(x - 3, y), (x - 2, y - tall * 0.7), (x, y - tall), (x + 3, y)], glow)


def _sun(canvas: Canvas, center: tuple[float, float], color: Color) -> None:
    canvas.ellipse(center, (8, 8), color)


def _hill(canvas: Canvas, generator: random.Random, height: float, color: Color) -> None:
    """Two humps and all that is below them; the height is counted from the top."""
    for x in (generator.uniform(5, 35), generator.uniform(65, 95)):
        wide, tall = generator.uniform(55, 75), generator.uniform(8, 13)
        canvas.ellipse((x, height + tall), (wide, tall), color)
    canvas.polygon([(0, height + 9), (100, height + 9), (100, 100), (0, 100)], color)


_PAINTERS: dict[str, Callable[[Canvas, random.Random], None]] = {
    "meadow": _meadow,
    "night": _night,
    "sea": _sea,
    "desert": _desert,
    "snow": _snow,
    "cave": _cave,
}

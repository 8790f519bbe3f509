"""A drawing surface in its own unit: 100 wide, 100 high, whatever the number of pixels."""

from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw

UNITS = 100.0

Point = tuple[float, float]
Color = tuple[int, ...]


class Canvas:
    """An image with an `ImageDraw` whose coordinates run from 0 to 100.

    Args:
      pixels: height and width.
      mode: of the image, such as "RGBA"; "L" for a mask.
      fill: what it is filled with at first.
    """

    def __init__(self, pixels: int, mode: str = "RGBA", fill: Color | int = 0):
        self.image = Image.new(mode, (pixels, pixels), fill)
        self.scale = pixels / UNITS
        self._draw = ImageDraw.Draw(self.image)

    def ellipse(self, center: Point, radii: Point, fill: Color | int) -> None:
        """Fills an ellipse."""
        (x, y), (rx, ry) = center, radii
        self._draw.ellipse(self._flat([(x - rx, y - ry), (x + rx, y + ry)]), fill=fill)

    def polygon(self, points: Sequence[Point], fill: Color | int) -> None:
        """Fills a polygon."""
        self._draw.polygon(self._flat(points), fill=fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Color | int) -> None:
        """Draws a line with round joints and ends."""
        self._draw.line(self._flat(points), fill=fill, width=round(width * self.scale))
        for point in points:
            self.ellipse(point, (width / 2, width / 2), fill)

    def arc(
        self, center: Point, radii: Point, angles: Point, width: float, fill: Color | int
    ) -> None:
        """Draws part of an ellipse's rim; angles in degrees, clockwise from three o'clock."""
        (x, y), (rx, ry) = center, radii
        box = self._flat([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.arc(box, *angles, fill=fill, width=max(1, round(width * self.scale)))

    def gradient(self, top: Color, bottom: Color) -> None:
        """Fills everything with a vertical gradient."""
        ramp = Image.linear_gradient("L").resize(self.image.size)
        mode = self.image.mode
        upper = Image.new(mode, self.image.size, top)
        lower = Image.new(mode, self.image.size, bottom)
        self.image.paste(Image.composite(lower, upper, ramp))

    def _flat(self, points: Iterable[Point]) -> list[float]:
        return [value * self.scale for point in points for value in point]

"""Draws a creature in its place."""

import random

from PIL import Image, ImageChops, ImageFilter, ImageOps

from data.demo.creatures import Creature
from data.demo.painting.bodies import Anatomy, draw_body
from data.demo.painting.canvas import UNITS, Canvas
from data.demo.painting.details import paint_face, paint_part, paint_pattern
from data.demo.painting.palette import Coat, coat
from data.demo.painting.places import paint_place

# Drawn so many times larger and scaled down, because Pillow draws without antialiasing.
_SUPERSAMPLING = 3
_OUTLINE, _HALO = 0.9, 2.1
"""Canvas units around the silhouette. The light halo keeps a black creature out of the night."""
_MAX_TURN = 7


def draw(creature: Creature, size: int = 128) -> Image.Image:
    """Draws a creature; the same creature gives the same pixels.

    Args:
      creature: whom.
      size: height and width in pixels.

    Returns:
      An RGB picture.
    """
    generator = random.Random(creature.seed)
    pixels = size * _SUPERSAMPLING
    scene = Canvas(pixels, "RGB")
    paint_place(scene, creature.place, generator)
    figure = _posed(_figure(creature, pixels, generator), creature.stage, generator)
    _lay(figure, scene.image)
    return scene.image.resize((size, size), Image.Resampling.LANCZOS)


def _figure(creature: Creature, pixels: int, generator: random.Random) -> Image.Image:
    """The creature alone, RGBA, looking to the right."""
    mask = Canvas(pixels, "L")
    anatomy = draw_body(mask, creature.body, generator)
    colors = coat(creature.color, generator)
    skin = _skin(mask.image, creature.pattern, colors, anatomy, generator)
    figure = Canvas(pixels)
    outline = _grown(mask.image, _OUTLINE * figure.scale)
    figure.image.paste((*colors.dark, 255), mask=outline)
    figure.image.paste(skin, mask=mask.image)
    paint_part(figure, creature.part, anatomy, generator)
    paint_face(figure, anatomy, generator)
    return figure.image


def _skin(
    mask: Image.Image, pattern: str, colors: Coat, anatomy: Anatomy, generator: random.Random
) -> Image.Image:
    """Coat and pattern, lit from above."""
    skin = Canvas(mask.width, "RGBA", (*colors.base, 255))
    paint_pattern(skin, pattern, colors, anatomy, generator)
    # The silhouette, blurred and moved, tells where the body turns away from the light.
    soft = mask.filter(ImageFilter.GaussianBlur(mask.width * 0.03))
    shift = round(mask.width * 0.035)
    lower = ImageChops.subtract(mask, ImageChops.offset(soft, 0, -shift))
    upper = ImageChops.subtract(mask, ImageChops.offset(soft, 0, shift))
    skin.image.paste((*colors.dark, 255), mask=lower.point(lambda value: value * 0.55))
    skin.image.paste((*colors.light, 255), mask=upper.point(lambda value: value * 0.6))
    return skin.image


def _posed(figure: Image.Image, stage: int, generator: random.Random) -> Image.Image:
    """Mirrors, turns, scales and moves a figure; a later stage is bigger."""
    if generator.random() < 0.5:
        figure = ImageOps.mirror(figure)
    zoom = 0.8 + 0.05 * stage + generator.uniform(-0.03, 0.03)
    center = figure.width / 2
    shift = generator.uniform(-4, 4) * figure.width / UNITS
    # AFFINE maps from the result to the source; the feet stay on the ground.
    ground = figure.height * 0.92
    figure = figure.rotate(
        generator.uniform(-_MAX_TURN, _MAX_TURN), Image.Resampling.BICUBIC, center=(center, ground)
    )
    matrix = (1 / zoom, 0, center - (center + shift) / zoom, 0, 1 / zoom, ground - ground / zoom)
    return figure.transform(figure.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def _lay(figure: Image.Image, scene: Image.Image) -> None:
    """Puts a figure into a scene, with a halo and a shadow on the ground."""
    shape = figure.getchannel("A")
    box = shape.getbbox()
    assert box is not None, "every creature has a body"
    left, _, right, bottom = box
    pixels = scene.width
    shadow = Canvas(pixels, "L")
    middle, wide = (left + right) / 2 / shadow.scale, (right - left) / 2 / shadow.scale
    shadow.ellipse((middle, bottom / shadow.scale), (wide * 0.85, 3.4), 90)
    blurred = shadow.image.filter(ImageFilter.GaussianBlur(pixels * 0.012))
    scene.paste((20, 20, 40), mask=blurred)
    halo = _grown(shape, _HALO * pixels / UNITS).filter(ImageFilter.GaussianBlur(pixels * 0.006))
    scene.paste((255, 255, 255), mask=halo.point(lambda value: value * 0.75))
    scene.paste(figure, mask=shape)


def _grown(mask: Image.Image, pixels: float) -> Image.Image:
    """A mask widened on all sides."""
    # Blur and threshold grow a shape in a circle, and far faster than Pillow's MaxFilter.
    blurred = mask.filter(ImageFilter.BoxBlur(pixels))
    return blurred.point(lambda value: min(255, value * 8))

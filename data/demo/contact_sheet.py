"""The picture of creatures in the README: python -m data.demo.contact_sheet --out FILE."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from data.demo.creatures import Creature, generate
from data.demo.painting import draw

_COLUMNS, _ROWS = 8, 4
_SIZE, _GAP, _CORNER = 120, 8, 14
_COLORS_IN_PALETTE = 255


def contact_sheet(creatures: Sequence[Creature], columns: int = _COLUMNS) -> Image.Image:
    """Lays creatures out in rows, with rounded corners, on a see-through ground.

    Args:
      creatures: row by row.
      columns: creatures in a row.

    Returns:
      An RGBA picture.
    """
    rows = -(-len(creatures) // columns)
    step = _SIZE + _GAP
    sheet = Image.new("RGBA", (columns * step - _GAP, rows * step - _GAP))
    tile = Image.new("L", (_SIZE, _SIZE))
    ImageDraw.Draw(tile).rounded_rectangle((0, 0, _SIZE - 1, _SIZE - 1), _CORNER, fill=255)
    for index, creature in enumerate(creatures):
        row, column = divmod(index, columns)
        sheet.paste(draw(creature, _SIZE), (column * step, row * step), tile)
    return sheet


def one_of_each_family(count: int) -> list[Creature]:
    """The last, biggest member of each of the first families: more variety than the first ones."""
    last = {creature.family: creature for creature in generate(count * 4)}
    return list(last.values())[:count]


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    out = parser.parse_args().out
    sheet = contact_sheet(one_of_each_family(_COLUMNS * _ROWS))
    out.parent.mkdir(parents=True, exist_ok=True)
    # A palette makes the file a third as large; FASTOCTREE is the one that keeps transparency.
    sheet.quantize(_COLORS_IN_PALETTE, Image.Quantize.FASTOCTREE).save(out, optimize=True)


if __name__ == "__main__":
    main()

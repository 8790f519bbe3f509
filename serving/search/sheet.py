"""A contact sheet: what was found, to look at, as one file that needs no network."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from core.errors import DexmatchError
from core.files import write_atomically
from core.html import template_environment
from serving.search import pictures
from serving.search.index import Hit

_TEMPLATE = "contact_sheet.html.j2"
_THUMBNAIL = 320
"""Pixels, the longer side; twice what is shown, for dense screens."""
_QUALITY = 80

_CELL, _MARGIN, _COLUMNS = 240, 16, 4
_TITLE_SIZE, _TEXT_SIZE = 22, 14
_PAPER, _INK, _SOFT = "#fbfaf8", "#1d2126", "#5c6570"


@dataclass(frozen=True)
class _Cell:
    """A picture on the sheet.

    Attributes:
      name: of its file.
      probability: that the caption describes it.
      thumbnail: RGB; None if it cannot be shown.
    """

    name: str
    probability: float
    thumbnail: Image.Image | None

    @property
    def data_uri(self) -> str:
        """The thumbnail as JPEG."""
        if self.thumbnail is None:
            return ""
        file = io.BytesIO()
        self.thumbnail.save(file, "JPEG", quality=_QUALITY, optimize=True)
        return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def check(path: Path) -> None:
    """Says before the work what would keep the sheet from being written after it.

    Raises:
      DexmatchError: the suffix is no known one, or there is no such folder.
    """
    if path.suffix.lower() not in _WRITERS:
        raise DexmatchError(f"{path}: a sheet is one of {', '.join(_WRITERS)}; name it so")
    if not path.parent.is_dir():
        raise DexmatchError(f"{path.parent}: no such folder to write the sheet to")


def write(path: Path, caption: str, hits: Sequence[Hit], folder: Path, searched: int) -> None:
    """Writes a sheet, whole or not at all.

    Args:
      path: its suffix chooses the format, see `check`.
      caption: what was searched for.
      hits: what was found, the best first.
      folder: where the pictures are; they are named by their paths in it.
      searched: number of pictures that were searched.

    Raises:
      DexmatchError: it cannot be written there.
    """
    cells = [_cell(hit, folder) for hit in hits]
    write_atomically(path, _WRITERS[path.suffix.lower()](caption, cells, searched))


def _cell(hit: Hit, folder: Path) -> _Cell:
    name = pictures.shown(hit.path.relative_to(folder))
    try:
        image = Image.open(io.BytesIO(pictures.read(hit.path))).convert("RGBA")
    except (pictures.Unreadable, OSError):
        # Changed since it was encoded.
        return _Cell(name, hit.probability, None)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    # On white, as the model sees it.
    white = Image.new("RGBA", image.size, "white")
    return _Cell(name, hit.probability, Image.alpha_composite(white, image).convert("RGB"))


def _as_html(caption: str, cells: Sequence[_Cell], searched: int) -> bytes:
    page = (
        template_environment("serving.search")
        .get_template(_TEMPLATE)
        .render(caption=caption, cells=cells, searched=searched)
    )
    return page.encode("utf-8", "replace")


def _as_png(caption: str, cells: Sequence[_Cell], searched: int) -> bytes:
    title, text = (ImageFont.load_default(size) for size in (_TITLE_SIZE, _TEXT_SIZE))
    columns = max(1, min(_COLUMNS, len(cells)))
    step = _CELL + _MARGIN
    label = 2 * _TEXT_SIZE + 12
    top = _MARGIN + _TITLE_SIZE + _TEXT_SIZE + 20
    rows = -(-len(cells) // columns)
    size = (_MARGIN + max(columns, 2) * step, top + rows * (_CELL + label + _MARGIN))
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    widest = size[0] - 2 * _MARGIN
    draw.text((_MARGIN, _MARGIN), _fitted(draw, caption, title, widest), _INK, title)
    found = f"The best {len(cells):,} of {searched:,} pictures"
    draw.text((_MARGIN, _MARGIN + _TITLE_SIZE + 8), found, _SOFT, text)
    for number, cell in enumerate(cells):
        left = _MARGIN + number % columns * step
        upper = top + number // columns * (_CELL + label + _MARGIN)
        draw.rectangle((left, upper, left + _CELL - 1, upper + _CELL - 1), "white")
        if cell.thumbnail:
            small = ImageOps.contain(cell.thumbnail, (_CELL, _CELL))
            middle = ((_CELL - small.width) // 2, (_CELL - small.height) // 2)
            sheet.paste(small, (left + middle[0], upper + middle[1]))
        under = upper + _CELL + 4
        draw.text((left, under), f"{number + 1}.  {cell.probability:.1%}", _INK, text)
        fitted = _fitted(draw, cell.name, text, _CELL, keep_end=True)
        draw.text((left, under + _TEXT_SIZE + 4), fitted, _SOFT, text)
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _fitted(
    draw: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    width: int,
    keep_end: bool = False,
) -> str:
    """The text on one line, cut so that it is no wider than this."""
    line = " ".join(text.split())[:1000]
    if draw.textlength(line, font) <= width:
        return line
    while line and draw.textlength(f"{line}...", font) > width:
        line = line[1:] if keep_end else line[:-1]
    return f"...{line}" if keep_end else f"{line}..."


_WRITERS: dict[str, Callable[[str, Sequence[_Cell], int], bytes]] = {
    ".html": _as_html,
    ".png": _as_png,
}

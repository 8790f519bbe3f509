"""Writes the demo as any user would bring it: a folder of pictures and a CSV."""

import csv
import functools
import multiprocessing
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from core.child_processes import child_environment_applied
from core.errors import DexmatchError
from data.demo import captions
from data.demo.creatures import ATTRIBUTES, DEFAULT_COUNT, DEFAULT_SEED, Creature, generate
from data.demo.painting import draw

CSV = "captions.csv"
IMAGES = "images"
GROUP_COLUMN = "family"
COLUMNS = ("image", "caption", "hard_caption", GROUP_COLUMN, "stage", *ATTRIBUTES)
_BETWEEN_CAPTIONS = "|"
_DEFAULT_SIZE = 128
_CHUNK = 16


def write_folder(
    folder: Path,
    count: int = DEFAULT_COUNT,
    seed: int = DEFAULT_SEED,
    size: int = _DEFAULT_SIZE,
    on_progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Draws creatures and writes their captions; the same arguments give the same bytes.

    Args:
      folder: made by this call, with `images/0001.png`... and `captions.csv` in it. It appears when
        it is complete.
      count: how many creatures.
      seed: of the whole cast.
      size: height and width of the pictures in pixels.
      on_progress: told the number of pictures drawn so far.

    Raises:
      DexmatchError: the folder exists already.
    """
    if folder.exists():
        raise DexmatchError(f"{folder}: exists already; remove it or choose another folder")
    creatures = list(generate(count, seed))
    staging = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / IMAGES).mkdir(parents=True)
    try:
        _draw_all(creatures, staging, size, on_progress)
        _write_captions(creatures, staging / CSV)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _draw_all(
    creatures: Sequence[Creature], folder: Path, size: int, on_progress: Callable[[int], None]
) -> None:
    save = functools.partial(_save, folder=folder, size=size)
    # Spawned, because the caller may have threads, and a fork of those can hang.
    with child_environment_applied(), multiprocessing.get_context("spawn").Pool() as pool:
        for done, _ in enumerate(pool.imap_unordered(save, creatures, _CHUNK), start=1):
            on_progress(done)


def _save(creature: Creature, folder: Path, size: int) -> None:
    draw(creature, size).save(folder / _image_path(creature), optimize=True)


def _write_captions(creatures: Sequence[Creature], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row(creature) for creature in creatures)


def row(creature: Creature) -> dict[str, str | int]:
    """A creature's line in the CSV: column to value."""
    looks = captions.looks_of(creature)
    generator = random.Random(creature.seed)
    return {
        "image": _image_path(creature),
        "caption": captions.describe(looks, generator),
        "hard_caption": _BETWEEN_CAPTIONS.join(captions.describe_wrongly(creature, generator)),
        GROUP_COLUMN: creature.family,
        "stage": creature.stage,
        **looks,
    }


def _image_path(creature: Creature) -> str:
    return f"{IMAGES}/{creature.number:04}.png"

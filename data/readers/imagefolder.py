"""Hugging Face imagefolder: pictures beside a `metadata.csv` or `metadata.jsonl`.

Its `file_name` column is relative to the folder of the metadata file. Rows are those of the table.
"""

from collections.abc import Callable
from pathlib import Path

from core.errors import DexmatchError
from data.readers.base import Reader
from data.readers.csv_table import CsvReader
from data.readers.folders import files_below
from data.readers.jsonl import JsonlReader


def open_imagefolder(source: str) -> Reader:
    """Opens the metadata file of a folder.

    Args:
      source: the folder.

    Returns:
      The reader of its metadata file.

    Raises:
      DexmatchError: there is no metadata file.
    """
    folder = Path(source)
    kinds: dict[str, Callable[[str], Reader]] = {
        "metadata.csv": _ImageFolderCsvReader,
        "metadata.jsonl": _ImageFolderJsonlReader,
    }
    for name, open_reader in kinds.items():
        if (folder / name).is_file():
            reader = open_reader(str(folder / name))
            reader.remarks = _not_read(folder, name)
            return reader
    below = next(iter(sorted(folder.glob("*/metadata.*"))), None)
    advice = f"import {below.parent}" if below else "write one with file_name and text columns"
    raise DexmatchError(f"{folder}: no metadata.csv or metadata.jsonl; {advice}")


def _not_read(folder: Path, name: str) -> list[str]:
    """What is said of the other metadata files of a folder and below."""
    others = [
        str(path.relative_to(folder))
        for suffix in (".csv", ".jsonl")
        for path in files_below(folder, f"metadata{suffix}")
        if path.name == f"metadata{suffix}" and path != folder / name
    ]
    if not others:
        return []
    return [f"{name} alone is read, not {', '.join(others)}; import their folders by themselves"]


class _ImageFolderCsvReader(CsvReader):
    format = "imagefolder"


class _ImageFolderJsonlReader(JsonlReader):
    format = "imagefolder"

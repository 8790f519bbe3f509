"""Hugging Face imagefolder: pictures beside a `metadata.csv` or `metadata.jsonl`.

Its `file_name` column is relative to the folder of the metadata file. Rows are those of the table.
"""

from pathlib import Path

from core.errors import DexmatchError
from data.readers.base import Reader
from data.readers.csv_table import CsvReader
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
    if (folder / "metadata.csv").is_file():
        return _ImageFolderCsvReader(str(folder / "metadata.csv"))
    if (folder / "metadata.jsonl").is_file():
        return _ImageFolderJsonlReader(str(folder / "metadata.jsonl"))
    below = next(iter(sorted(folder.glob("*/metadata.*"))), None)
    advice = f"import {below.parent}" if below else "write one with file_name and text columns"
    raise DexmatchError(f"{folder}: no metadata.csv or metadata.jsonl; {advice}")


class _ImageFolderCsvReader(CsvReader):
    format = "imagefolder"


class _ImageFolderJsonlReader(JsonlReader):
    format = "imagefolder"

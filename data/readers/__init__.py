"""One reader per format, and the guess which one a source needs.

Reader modules are imported when they are used: some bring large libraries along.
"""

import importlib
import os
from pathlib import Path

from core.errors import DexmatchError
from data.readers.base import DivisibleReader
from data.readers.folders import files_below
from data.readers.imagefolder import has_metadata_below

_READERS = {
    "csv": "data.readers.csv_table:CsvReader",
    "tsv": "data.readers.csv_table:TsvReader",
    "jsonl": "data.readers.jsonl:JsonlReader",
    "coco": "data.readers.coco:CocoReader",
    "imagefolder": "data.readers.imagefolder:ImageFolderReader",
    "parquet": "data.readers.parquet:ParquetReader",
    "webdataset": "data.readers.webdataset_tar:WebDatasetReader",
}
FORMATS = tuple(_READERS)

_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "coco",
    ".parquet": "parquet",
    ".tar": "webdataset",
    ".tar.gz": "webdataset",
    ".tgz": "webdataset",
}
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")


def locate(source: str) -> tuple[str, str]:
    """Finds out what a source is.

    Args:
      source: a file, a folder, or a brace pattern such as `shards/{000..009}.tar`.

    Returns:
      The format, and the path to read: the only table in a folder takes the folder's place.

    Raises:
      DexmatchError: there is no such source, or its format cannot be told.
    """
    path = Path(source)
    if path.is_dir():
        return _locate_in_folder(path)
    for suffix, name in _SUFFIXES.items():
        if path.name.lower().endswith(suffix):
            return name, source
    if not path.exists():
        raise DexmatchError(f"{source}: no such file or folder")
    raise DexmatchError(f"{source}: unknown format; choose one with --format: {', '.join(FORMATS)}")


def open_reader(source: str, format_name: str, image_folder: Path | None = None) -> DivisibleReader:
    """Opens a source.

    Args:
      source: what `locate` gave.
      format_name: one of `FORMATS`.
      image_folder: the folder that picture paths are relative to; None for the source's own.

    Returns:
      Its reader.

    Raises:
      DexmatchError: the format is unknown, or the source cannot be read.
    """
    if format_name not in _READERS:
        raise DexmatchError(f"format {format_name!r}: choose one of {', '.join(FORMATS)}")
    if image_folder is not None and not image_folder.is_dir():
        raise DexmatchError(f"{image_folder}: the picture folder does not exist")
    module, _, name = _READERS[format_name].partition(":")
    reader: DivisibleReader = getattr(importlib.import_module(module), name)(source)
    # Not what a link leads to: in a download from Hugging Face that is a digest.
    reader.name = Path(os.path.abspath(source)).name
    if image_folder is not None:
        reader.folder = image_folder
    return reader


def _locate_in_folder(folder: Path) -> tuple[str, str]:
    # By name, not by what glob happens to find first.
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    if {"metadata.csv", "metadata.jsonl"}.intersection(names):
        return "imagefolder", str(folder)
    if any(name.endswith(".tar") for name in names):
        return "webdataset", str(folder)
    if files_below(folder, ".parquet"):
        return "parquet", str(folder)
    tables = [name for name in names if name.lower().endswith(_TABLES)]
    if len(tables) == 1:
        return locate(str(folder / tables[0]))
    if not tables and has_metadata_below(folder):
        return "imagefolder", str(folder)
    found = f"found {', '.join(tables)}: name one of them" if tables else "found none of them"
    raise DexmatchError(
        f"{folder}: a folder needs a metadata.csv or .jsonl, *.tar, *.parquet or one table; {found}"
    )

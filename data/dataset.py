"""An imported data set: TFRecord shards with a `dataset.json` that describes them.

Needs no TensorFlow, so that the command line can describe a data set at once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pydantic

from core import features
from core.errors import DexmatchError
from core.files import sha256

DESCRIPTION = "dataset.json"
REJECTS = "rejects.csv"
MAX_DISTINCT = 50
"""A metadata column with at most so many distinct values has them listed, with counts."""

Value = int | float | str


class _Part(pydantic.BaseModel):
    # Strict, so that a value 1 read from the file is not taken for 1.0 or "1".
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)


class Shard(_Part):
    """One TFRecord file, gzip-compressed.

    Attributes:
      name: file name in the data set's folder.
      examples: number of pairs.
      bytes: size of the file.
      sha256: of its content.
    """

    name: str
    examples: int
    bytes: int
    sha256: str


class ValueCount(_Part):
    """A value of a metadata column, and the number of pairs that have it."""

    value: Value
    count: int


class Feature(_Part):
    """A feature of the examples.

    Attributes:
      name: key in the `tf.train.Example`.
      type: which list of the example holds it.
      column: the source's column; None for what the importer works out.
      present: number of pairs that have it.
      values: the distinct values of a metadata column in ascending order, if they are few.
    """

    name: str
    type: Literal["int64", "float", "bytes"]
    column: str | None
    present: int
    values: tuple[ValueCount, ...] | None = None

    @property
    def is_metadata(self) -> bool:
        """Whether it describes the pair beyond picture and caption."""
        return self.name not in features.RESERVED


class Source(_Part):
    """Where the pairs come from.

    Attributes:
      format: name of the importer.
      name: name of the file or folder, without its path.
      columns: part (image, caption, ...) to column name.
    """

    format: str
    name: str
    columns: dict[str, str]


class Quantiles(_Part):
    """A distribution of whole numbers."""

    minimum: int
    p5: int
    median: int
    p95: int
    maximum: int


class Sample(_Part):
    """A pair, to look at."""

    id: str
    caption: str


class Dataset(_Part):
    """An imported data set, as `dataset.json` has it.

    Attributes:
      path: its folder; not in the file.
      format_version: of the file.
      read: rows of the source.
      imported: pairs in the shards.
      rejected: rows that were turned away, told in `rejects.csv`.
      rejected_by_reason: code to count.
      images: distinct pictures, by content.
      groups: distinct groups.
      source: where the pairs come from.
      features: everything an example can hold.
      caption_words: words per caption, as the model counts them.
      image_height: pixels.
      image_width: pixels.
      samples: a few pairs.
      digest: sha256 over the names and digests of all shards, so over their content.
      files: the shards, in order.
    """

    path: Path = pydantic.Field(default=Path(), exclude=True)
    format_version: Literal[1] = 1
    read: int
    imported: int
    rejected: int
    rejected_by_reason: dict[str, int]
    images: int
    groups: int
    source: Source
    features: tuple[Feature, ...]
    caption_words: Quantiles
    image_height: Quantiles
    image_width: Quantiles
    samples: tuple[Sample, ...]
    digest: str
    files: tuple[Shard, ...]

    @property
    def examples(self) -> int:
        """Number of pairs."""
        return self.imported

    @property
    def bytes(self) -> int:
        """Size of all shards."""
        return sum(file.bytes for file in self.files)

    @property
    def metadata(self) -> tuple[Feature, ...]:
        """The metadata columns."""
        return tuple(feature for feature in self.features if feature.is_metadata)

    def low_cardinality_columns(self) -> tuple[Feature, ...]:
        """The metadata columns with few distinct values, which a model can be sliced by."""
        return tuple(feature for feature in self.metadata if feature.values is not None)

    def to_json(self) -> str:
        """The text of `dataset.json`; the same data set gives the same text."""
        return self.model_dump_json(indent=2) + "\n"


def load(path: Path | str) -> Dataset:
    """Reads the description of a data set and checks that its files are there.

    Args:
      path: folder written by `dexmatch data import`.

    Returns:
      The data set.

    Raises:
      DexmatchError: it is no data set, of another version, or a shard is missing or was changed.
    """
    dataset = read_description(Path(path))
    for shard in dataset.files:
        _check(dataset.path / shard.name, shard)
    return dataset


def read_description(folder: Path) -> Dataset:
    """Reads the description of a data set that may have lost its shards.

    Args:
      folder: as for `load`.

    Returns:
      The data set as it once was.

    Raises:
      DexmatchError: it is no data set, or of another version.
    """
    file = folder / DESCRIPTION
    try:
        dataset = Dataset.model_validate_json(file.read_bytes())
    except OSError as error:
        raise DexmatchError(
            f"{folder}: not a dexmatch data set (no {DESCRIPTION}); make one: dexmatch data import"
        ) from error
    except ValueError as error:  # Pydantic's and json's errors both are.
        raise DexmatchError(
            f"{file}: broken, or written by another version of dexmatch; import the data again"
        ) from error
    return dataset.model_copy(update={"path": folder})


def verify(dataset: Dataset, done: Callable[[int], None] = lambda count: None) -> None:
    """Reads every byte of a data set, as `load` does not, and compares it with what was imported.

    Args:
      dataset: one that `load` has returned.
      done: is told the number of bytes read so far.

    Raises:
      DexmatchError: a shard was changed, or cannot be read.
    """
    read = 0
    for shard in dataset.files:
        path = dataset.path / shard.name
        try:
            digest = sha256(path)
        except OSError as error:
            raise DexmatchError(f"{path}: cannot be read ({error.strerror})") from error
        if digest != shard.sha256:
            raise DexmatchError(f"{path}: this shard was changed; import the data again")
        read += shard.bytes
        done(read)


def _check(file: Path, shard: Shard) -> None:
    """Compares sizes only: reading every byte on every start would take minutes."""
    if not file.is_file():
        raise DexmatchError(f"{file}: this shard is missing; import the data again")
    if file.stat().st_size != shard.bytes:
        raise DexmatchError(f"{file}: this shard was changed; import the data again")

"""A data set without the pairs that were struck out; every pair is kept, or told in rejects.csv."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from core import features
from core.errors import DexmatchError
from data import importer
from data.columns import Columns
from data.dataset import Dataset
from data.readers.base import Reader
from data.records import EmbeddedImage, Origin, Reason, Record, Reject

_PARTS = (features.IMAGE, features.CAPTION, features.ID, features.GROUP, features.HARD_CAPTION)


STRIKE = "strike"
"""The column of a CSV in which a mark strikes a pair out."""
_WORKED_OUT = (features.IMAGE, features.IMAGE_HEIGHT, features.IMAGE_WIDTH)


class DatasetReader(Reader):
    """The pairs of a data set as a source, each with its id and group.

    Args:
      dataset: whose pairs are read.
      struck: id to why, of the pairs that come as rejects.
    """

    format = "dataset"

    def __init__(self, dataset: Dataset, struck: Mapping[str, str]):
        self.name = dataset.path.resolve().name
        self.folder = dataset.path
        self._dataset = dataset
        self._struck = struck

    def records(self, *, with_images: bool) -> Iterator[Record | Reject]:
        """See `Reader.records`."""
        for record in self.pairs(with_images=with_images):
            pair_id = str(record.fields[features.ID])
            why = self._struck.get(pair_id)
            if why is None:
                yield record
            else:
                yield Reject(record.origin, pair_id, Reason.STRUCK_OUT, why)

    def pairs(self, *, with_images: bool) -> Iterator[Record]:
        """All pairs, also those that `records` gives as rejects."""
        # TensorFlow takes seconds to load.
        from data import pair_examples

        names = [each.name for each in self._dataset.features if each.name not in _WORKED_OUT]
        for shard in self._dataset.files:
            examples = pair_examples.read_examples([str(self.folder / shard.name)])
            for row, example in enumerate(examples, start=1):
                fields: dict[str, object] = {}
                for name in names:
                    values = pair_examples.feature_values(example, name).tolist()
                    texts = [each.decode() if isinstance(each, bytes) else each for each in values]
                    is_list = name == features.HARD_CAPTION
                    fields[name] = texts if is_list else next(iter(texts), None)
                content = pair_examples.first_bytes(example, features.IMAGE) if with_images else b""
                fields[features.IMAGE] = EmbeddedImage(str(fields[features.ID]), content)
                yield Record(Origin(shard.name, row), fields)


def read_struck(path: Path) -> dict[str, str]:
    """Reads which pairs are struck out.

    Args:
      path: CSV with a column `id`, and one `strike` that marks those which are meant; without that
        column all are.

    Returns:
      Id to where it is struck out, one at least.

    Raises:
      DexmatchError: it cannot be read, has no column `id`, or strikes nothing out.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if features.ID not in columns:
                raise DexmatchError(
                    f"{path}: no column `{features.ID}`; write the file with dexmatch data audit "
                    "--csv, or on its sheet"
                )
            struck = {
                row[features.ID]: f"{path.name}, row {number}"
                for number, row in enumerate(reader, start=1)
                if STRIKE not in columns or (row[STRIKE] or "").strip()
            }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DexmatchError(f"{path}: cannot be read as CSV in UTF-8 ({reason})") from error
    if not struck:
        raise DexmatchError(
            f"{path}: strikes nothing out; mark pairs by any sign in its column `{STRIKE}`"
        )
    return struck


def write_without(
    dataset: Dataset, struck: Mapping[str, str], out: Path, *, overwrite: bool = False
) -> Dataset:
    """Writes a data set without some pairs; the others stay byte for byte as they are.

    Args:
      dataset: as `data.dataset.load` gives it.
      struck: id to why.
      out: folder to make.
      overwrite: whether a data set in `out` may be replaced.

    Returns:
      The new data set.

    Raises:
      DexmatchError: an id is none of the data set's, no pair is left, or `out` cannot be written.
    """
    if out.resolve() == dataset.path.resolve():
        raise DexmatchError(f"{out}: is the data set itself; choose another folder")
    known = {
        str(record.fields[features.ID])
        for record in DatasetReader(dataset, struck).pairs(with_images=False)
    }
    if unknown := [pair_id for pair_id in struck if pair_id not in known]:
        raise DexmatchError(
            f"{struck[unknown[0]]}: {dataset.path} has no pair {unknown[0]!r}; strike out pairs of "
            "this data set"
        )
    if len(known) == len(struck):
        raise DexmatchError(f"all {len(known):,} pairs are struck out; leave some")
    return write_from(DatasetReader(dataset, struck), dataset, out, len(struck), overwrite)


def write_from(
    reader: Reader, dataset: Dataset, out: Path, rejects: int, overwrite: bool = False
) -> Dataset:
    """Writes what a reader makes of a data set, with the data set's own types of columns."""
    stored = {feature.name for feature in dataset.features}
    return importer.import_pairs(
        reader,
        out,
        columns=Columns(**{part: part for part in _PARTS if part in stored}),
        types={column.name: column.type for column in dataset.metadata},
        keep_wordless_captions=True,
        max_rejects=str(rejects),
        overwrite=overwrite,
        say=lambda _: None,
    )

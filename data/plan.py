"""What is decided before the first picture is opened: the same for whoever reads the rows."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

from core.errors import DexmatchError
from data.columns import Columns, Metadata, choose, metadata_of
from data.ids import Ids
from data.readers.base import Reader
from data.records import Record, Reject, Row
from data.rows import RowMaker
from data.survey import FeatureType, Survey


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """What the user allows.

    Attributes:
      outside_paths: picture paths that lead out of their folder.
      wordless_captions: captions without a word.
    """

    outside_paths: bool
    wordless_captions: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How a source becomes rows. Holds nothing of the reader, so that it can travel.

    Attributes:
      name: of the source.
      format: of the source, see `Reader`.
      is_typed: see `Reader`.
      rows: how many there will be, for the display of progress.
      columns: as `columns.choose` gives them.
      metadata: as `columns.metadata_of` gives them.
      allowed: what the user allows.
    """

    name: str
    format: str
    is_typed: bool
    rows: int
    columns: Columns
    metadata: tuple[Metadata, ...]
    allowed: Answers

    @property
    def parts(self) -> dict[str, str]:
        """Part to column, without the parts that no column plays."""
        named = dataclasses.asdict(self.columns).items()
        return {part: name for part, name in named if name is not None}

    def rows_of(self, records: Iterable[Record | Reject], ids: Ids) -> Iterator[Row | Reject]:
        """The rows of consecutive records; `ids` knows those of all rows before them."""
        maker = RowMaker(
            self.columns, self.metadata, self.is_typed, self.allowed.wordless_captions, ids
        )
        for record in records:
            if isinstance(record, Reject):
                yield record
            else:
                yield from maker.rows(record)


def make_plan(
    reader: Reader,
    found: Survey,
    asked: Columns,
    types: Mapping[str, FeatureType],
    allowed: Answers,
    say: Callable[[str], None],
) -> Plan:
    """Decides which column is what.

    Args:
      reader: of the source; its remarks are told.
      found: what there is in it.
      asked: the columns that the user named.
      types: the types that the user wants metadata columns to have.
      allowed: what the user allows.
      say: told every guess.

    Returns:
      The plan.

    Raises:
      DexmatchError: there are no records, or an option does not fit them.
    """
    name = reader.name
    for remark in reader.remarks:
        say(f"{name}: {remark}")
    if not found.records:
        raise DexmatchError(f"{name}: holds no records; nothing to import")
    columns = choose(found, asked, name)
    rows = found.rows(columns.caption or "")
    plan = Plan(name, reader.format, reader.is_typed, rows, columns, (), allowed)
    for part, column in plan.parts.items():
        say(f"{part}: column {column!r}")
    if found.id_repeats and asked.id is None:
        say("id: none; column 'id' repeats, so it does not name pairs and is kept as metadata")
    if columns.group is None:
        say(
            "group: none, each picture is its own. Near-duplicates may end up on both sides of a "
            "split; name what belongs together with --group-column"
        )
    return dataclasses.replace(plan, metadata=metadata_of(found, columns, say, types))

"""The import: from a source of pictures and captions to a data set.

    reader ──records──> RowMaker ──rows──> tasks ──> worker: shard ──> account ──> dataset.json
    (one look ahead for the column types)            worker: shard

This process reads and keeps account; worker processes check pictures and write shards. Every
decision that depends on the order of rows (ids, duplicates, which row goes to which shard) is made
here, so the result is the same byte for byte, whatever the number of workers.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from core import disk, features, terminal
from core.config import CaptionConfig
from core.errors import DexmatchError
from core.files import write_atomically
from core.machine import available_cores
from core.progress import show_progress
from data import dataset, readers, workers
from data.columns import ALL_GUESSED, Columns, FeatureType, Metadata, choose, metadata_of, survey
from data.dataset import Dataset, Feature, Shard, Source, Value, ValueCount
from data.readers.base import Reader
from data.records import EmbeddedImage, Reject, Row
from data.rejects import Rejects, allowed
from data.rows import RowMaker
from data.staging import publish, staged
from data.statistics import Statistics, quantiles
from data.tasks import Result, Task

ROWS_PER_SHARD = 512
"""Of the source; rejected ones leave gaps, so that a shard does not depend on those before it."""
_EMBEDDED_BYTES_PER_SHARD = 32 * 2**20
"""A shard is shorter where the source holds large pictures: a task travels between processes."""
_WRITE = "data.shard_writer:write"
_INTEGER_FEATURES = (features.IMAGE_HEIGHT, features.IMAGE_WIDTH)


def import_pairs(
    source: str | Path | Reader,
    out: str | Path,
    *,
    format_name: str | None = None,
    columns: Columns = ALL_GUESSED,
    types: Mapping[str, FeatureType] = MappingProxyType({}),
    image_folder: Path | None = None,
    allow_outside_paths: bool = False,
    keep_wordless_captions: bool = False,
    max_rejects: str = "5%",
    num_workers: int | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = terminal.say,
) -> Dataset:
    """Imports pictures with captions.

    Worker processes are spawned, so a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Args:
      source: a file, a folder, a brace pattern of tar files, or a reader of something else.
      out: folder to make; nothing appears there unless the import succeeds.
      format_name: of a path, one of `readers.FORMATS`; None to guess it.
      columns: the columns to use; what is None is guessed.
      types: metadata column to the type that it is stored as; the others are text, or whole
        numbers where all of their values are.
      image_folder: of a path, what picture paths are relative to; None for the source's own folder.
      allow_outside_paths: whether picture paths in the source may be absolute, or lead out of that
        folder by `..`; links in the folder are followed in any case.
      keep_wordless_captions: whether captions without a letter or digit are imported. The model
        says 0 of them, which the evaluation counts; by default they are rejected.
      max_rejects: `5%` or `0.05` of the rows, or a count; one more fails the import.
      num_workers: processes at most; None for one per core.
      overwrite: whether a data set in `out` may be replaced.
      say: told every guess and remark, and the summary of an import that failed.

    Returns:
      The data set.

    Raises:
      DexmatchError: the source, an option or the output folder is wrong, or too many rows were
        rejected.
    """
    allowed(max_rejects, 0)  # A mistyped option should not come out after an hour.
    out = Path(out).absolute()
    with staged(out, overwrite=overwrite) as folder, disk.explained(folder):
        if not isinstance(source, Reader):
            source = _open(str(source), format_name, image_folder)
        plan = _plan(
            source,
            columns,
            types,
            _Answers(allow_outside_paths, keep_wordless_captions),
            say,
        )
        outcome = _run(plan, folder, num_workers or available_cores())
        _check(outcome, plan, max_rejects, folder, out, say)
        for remark in _unread_words(outcome.statistics):
            say(f"{plan.name}: {remark}")
        write_atomically(folder / dataset.DESCRIPTION, _describe(outcome, plan).to_json())
        publish(folder, out)
    return dataset.load(out)


@dataclasses.dataclass(frozen=True, slots=True)
class _Answers:
    """What the user allows."""

    outside_paths: bool
    wordless_captions: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    """What is decided before the first picture is opened."""

    reader: Reader
    allowed: _Answers
    name: str
    rows: int
    columns: Columns
    metadata: tuple[Metadata, ...]


def _open(source: str, format_name: str | None, image_folder: Path | None) -> Reader:
    if format_name is None:
        format_name, source = readers.locate(source)
    return readers.open_reader(source, format_name, image_folder)


def _plan(
    reader: Reader,
    asked: Columns,
    types: Mapping[str, FeatureType],
    allowed: _Answers,
    say: Callable[[str], None],
) -> _Plan:
    name = reader.name
    say(f"{name}: format {reader.format}")
    with show_progress(f"Looking at {name}"):
        found = survey(reader)
    for remark in reader.remarks:
        say(f"{name}: {remark}")
    if not found.records:
        raise DexmatchError(f"{name}: holds no records; nothing to import")
    columns = choose(found, asked, name)
    for part, column in _parts(columns).items():
        say(f"{part}: column {column!r}")
    if found.id_repeats and asked.id is None:
        say("id: none; column 'id' repeats, so it does not name pairs and is kept as metadata")
    if columns.group is None:
        say(
            "group: none, each picture is its own. Near-duplicates may end up on both sides of a "
            "split; name what belongs together with --group-column"
        )
    rows = found.rows(columns.caption or "")
    return _Plan(reader, allowed, name, rows, columns, metadata_of(found, columns, say, types))


def _parts(columns: Columns) -> dict[str, str]:
    """Part to column, without the parts that no column plays."""
    return {part: name for part, name in dataclasses.asdict(columns).items() if name is not None}


@dataclasses.dataclass(frozen=True, slots=True)
class _Outcome:
    """What the workers did, added up."""

    shards: list[Shard]
    statistics: Statistics
    rejects: Rejects

    @property
    def read(self) -> int:
        """Every row is either imported or rejected."""
        return self.statistics.pairs + self.rejects.total


def _run(plan: _Plan, folder: Path, num_workers: int) -> _Outcome:
    """Writes all shards and `rejects.csv`."""
    shards: list[Shard] = []
    statistics = Statistics()
    with contextlib.ExitStack() as stack:
        rejects = stack.enter_context(Rejects(folder / dataset.REJECTS))
        done = stack.enter_context(show_progress(f"Importing {plan.name}", plan.rows))
        tasks = _tasks(plan, folder)
        results: Generator[Result, None, None] = workers.run_in_order(
            _WRITE, tasks, num_workers, done
        )
        for result in stack.enter_context(contextlib.closing(results)):
            statistics.merge(result.statistics)
            for reject in result.rejects:
                rejects.add(reject)
            if result.shard is not None:
                shards.append(result.shard)
    return _Outcome(_renamed(shards, folder), statistics, rejects)


def _tasks(plan: _Plan, folder: Path) -> Iterator[Task]:
    """Cuts the rows of a source into shards."""
    rows: list[Row | Reject] = []
    embedded_bytes = 0
    number = 0
    for row in _rows(plan):
        rows.append(row)
        if isinstance(row, Row) and isinstance(row.image, EmbeddedImage):
            embedded_bytes += len(row.image.content)
        if len(rows) == ROWS_PER_SHARD or embedded_bytes >= _EMBEDDED_BYTES_PER_SHARD:
            yield Task(
                folder / f"{number:05}", plan.reader.folder, plan.allowed.outside_paths, rows
            )
            rows = []
            embedded_bytes = 0
            number += 1
    if rows:
        yield Task(folder / f"{number:05}", plan.reader.folder, plan.allowed.outside_paths, rows)


def _rows(plan: _Plan) -> Iterator[Row | Reject]:
    maker = RowMaker(
        plan.columns, plan.metadata, plan.reader.is_typed, plan.allowed.wordless_captions
    )
    for record in plan.reader.records(with_images=True):
        if isinstance(record, Reject):
            yield record
        else:
            yield from maker.rows(record)


def _renamed(shards: list[Shard], folder: Path) -> list[Shard]:
    """Gives the shards names that tell how many there are, known only now."""
    renamed = []
    for number, shard in enumerate(shards):
        name = f"pairs-{number:05}-of-{len(shards):05}.tfrecord.gz"
        (folder / shard.name).rename(folder / name)
        renamed.append(shard.model_copy(update={"name": name}))
    return renamed


def _check(
    outcome: _Outcome,
    plan: _Plan,
    max_rejects: str,
    folder: Path,
    out: Path,
    say: Callable[[str], None],
) -> None:
    """Raises an error if too little was imported, and keeps `rejects.csv` for the user."""
    rejects = outcome.rejects
    if rejects.total <= allowed(max_rejects, outcome.read) and outcome.statistics.pairs:
        return
    kept = out.with_name(f"{out.name}-{dataset.REJECTS}")
    (folder / dataset.REJECTS).replace(kept)
    for line in rejects.summary():
        say(line)
    raise DexmatchError(
        f"{plan.name}: {rejects.total} of {outcome.read} rows rejected, {max_rejects} allowed; "
        f"mend the rows listed in {kept}, or raise --max-rejects"
    )


def _unread_words(statistics: Statistics) -> Iterator[str]:
    """What a model with the default configuration will not read of the captions."""
    max_tokens = CaptionConfig().max_tokens
    pairs = f"of {statistics.pairs:,} captions"
    if cut := sum(count for words, count in statistics.words.items() if words > max_tokens):
        longest = [f"{name!r} ({words:,})" for words, name in statistics.longest]
        yield (
            f"{cut:,} {pairs} have more than {max_tokens} words and will be cut there, the longest "
            f"in {', '.join(longest[:cut])}; raise caption.max_tokens to keep all of their words"
        )
    if without := statistics.words[0]:
        yield (
            f"{without:,} {pairs} hold no word: the model will say 0 of them, and the evaluation "
            "counts that"
        )


def _describe(outcome: _Outcome, plan: _Plan) -> Dataset:
    statistics = outcome.statistics
    return Dataset(
        read=outcome.read,
        imported=statistics.pairs,
        rejected=outcome.rejects.total,
        rejected_by_reason=outcome.rejects.by_reason(),
        images=len(statistics.images),
        groups=len(statistics.groups),
        source=Source(format=plan.reader.format, name=plan.name, columns=_parts(plan.columns)),
        features=tuple(_features(statistics, plan)),
        caption_words=quantiles(statistics.words),
        image_height=quantiles(statistics.heights),
        image_width=quantiles(statistics.widths),
        samples=statistics.spread_samples(),
        digest=_digest(outcome.shards),
        files=tuple(outcome.shards),
    )


def _features(statistics: Statistics, plan: _Plan) -> Iterator[Feature]:
    """Every feature that occurs in the shards."""
    parts = _parts(plan.columns)
    for name in (*features.REQUIRED, features.HARD_CAPTION):
        present = statistics.present[name]
        if present:
            kind: FeatureType = "int64" if name in _INTEGER_FEATURES else "bytes"
            yield Feature(name=name, type=kind, column=parts.get(name), present=present)
    for column in plan.metadata:
        present = statistics.present[column.feature]
        if present:
            yield Feature(
                name=column.feature,
                type=column.type,
                column=column.column,
                present=present,
                values=_value_counts(statistics.values[column.feature]),
            )


def _value_counts(counts: Mapping[Value, int] | None) -> tuple[ValueCount, ...] | None:
    if counts is None:
        return None
    return tuple(ValueCount(value=value, count=counts[value]) for value in sorted(counts))


def _digest(shards: list[Shard]) -> str:
    lines = "".join(f"{shard.name} {shard.sha256}\n" for shard in shards)
    return hashlib.sha256(lines.encode()).hexdigest()

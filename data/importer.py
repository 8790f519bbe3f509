"""The import: from a source of pictures and captions to a data set.

    reader ──records──> RowMaker ──rows──> tasks ──> worker: shard ──> account ──> dataset.json
    (one look ahead for the column types)            worker: shard

This process reads and keeps account; worker processes check pictures and write shards. Every
decision that depends on the order of rows (ids, duplicates, which row goes to which shard) is made
here, so the result is the same byte for byte, whatever the number of workers. Beam's workers read
too, see `data.beam_import`; what they write is the same.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from core import disk, terminal
from core.errors import DexmatchError
from core.files import write_atomically
from core.machine import available_cores
from core.progress import show_progress
from data import dataset, readers, workers
from data.columns import ALL_GUESSED, Columns
from data.cutting import Cutter
from data.dataset import Dataset, Shard
from data.description import Outcome, describe, unread_words
from data.ids import Ids
from data.parts import Place, embedded_bytes
from data.plan import Answers, Plan, make_plan
from data.readers.base import Reader
from data.records import Reject, Row
from data.rejects import Rejects, allowed
from data.staging import publish, staged
from data.statistics import Statistics
from data.survey import FeatureType, Survey, survey
from data.tasks import Result, Task

_WRITE = "data.shard_writer:write"

BeamOptions = Callable[[Path], Sequence[str]]
"""Makes Beam's options, given a folder that its workers see too, for what they need beside."""


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
    beam_options: BeamOptions | None = None,
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
      num_workers: processes at most; None for one per core. Not of a Beam job.
      beam_options: of a path, makes the options of the Beam jobs that do the work, which must see
        the source and `out` under the same paths; None for processes of this machine.
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
        engine: _Engine
        if isinstance(source, Reader):
            assert beam_options is None, "distant workers open a source by themselves"
            engine = _LocalPool(source, folder, num_workers)
        else:
            place = _located(str(source), format_name, image_folder)
            if beam_options is None:
                engine = _LocalPool(place.open(), folder, num_workers)
            else:
                engine = _beam_jobs(place, folder, beam_options)
        say(f"{engine.reader.name}: format {engine.reader.format}")
        found = engine.survey()
        answers = Answers(allow_outside_paths, keep_wordless_captions)
        plan = make_plan(engine.reader, found, columns, types, answers, say)
        outcome = _run(engine, plan, folder)
        _check(outcome, plan, max_rejects, folder, out, say)
        for remark in unread_words(outcome.statistics):
            say(f"{plan.name}: {remark}")
        write_atomically(folder / dataset.DESCRIPTION, describe(outcome, plan).to_json())
        publish(folder, out)
    return dataset.load(out)


def _located(source: str, format_name: str | None, image_folder: Path | None) -> Place:
    if format_name is None:
        format_name, source = readers.locate(source)
    return Place(source, format_name, image_folder)


def _beam_jobs(place: Place, folder: Path, beam_options: BeamOptions) -> "_Engine":
    # It takes longer to load than a small import takes.
    from data.beam_import import BeamJobs

    place = place.absolute()
    return BeamJobs(place.open(), place, folder, beam_options)


class _Engine(Protocol):
    """Who reads a source and writes the shards."""

    @property
    def reader(self) -> Reader:
        """Of the source."""

    def survey(self) -> Survey:
        """Looks at every record."""

    def results(self, plan: Plan) -> Generator[Result, None, None]:
        """Writes the shards; tells what became of each, in order."""


class _LocalPool:
    """This process reads; processes of this machine write."""

    def __init__(self, reader: Reader, folder: Path, num_workers: int | None):
        self.reader = reader
        self._folder = folder
        self._num_workers = num_workers or available_cores()

    def survey(self) -> Survey:
        """See `_Engine`."""
        with show_progress(f"Looking at {self.reader.name}"):
            return survey(self.reader)

    def results(self, plan: Plan) -> Generator[Result, None, None]:
        """See `_Engine`."""
        with show_progress(f"Importing {plan.name}", plan.rows) as done:
            outcomes: Generator[Result, None, None] = workers.run_in_order(
                _WRITE, self._tasks(plan), self._num_workers, done
            )
            with contextlib.closing(outcomes):
                yield from outcomes

    def _tasks(self, plan: Plan) -> Iterator[Task]:
        """Cuts the rows of a source into shards."""
        rows: list[Row | Reject] = []
        number = 0
        cutter = Cutter()
        for row in plan.rows_of(self.reader.records(with_images=True), Ids()):
            rows.append(row)
            if cutter.add(embedded_bytes(row)):
                yield self._task(number, plan, rows)
                rows = []
                number += 1
        if rows:
            yield self._task(number, plan, rows)

    def _task(self, number: int, plan: Plan, rows: list[Row | Reject]) -> Task:
        path = self._folder / f"{number:05}"
        return Task(path, self.reader.folder, plan.allowed.outside_paths, rows)


def _run(engine: _Engine, plan: Plan, folder: Path) -> Outcome:
    """Writes all shards and `rejects.csv`."""
    shards: list[Shard] = []
    statistics = Statistics()
    with (
        Rejects(folder / dataset.REJECTS) as rejects,
        contextlib.closing(engine.results(plan)) as results,
    ):
        for result in results:
            statistics.merge(result.statistics)
            for reject in result.rejects:
                rejects.add(reject)
            if result.shard is not None:
                shards.append(result.shard)
    return Outcome(_renamed(shards, folder), statistics, rejects)


def _renamed(shards: list[Shard], folder: Path) -> list[Shard]:
    """Gives the shards names that tell how many there are, known only now."""
    renamed = []
    for number, shard in enumerate(shards):
        name = f"pairs-{number:05}-of-{len(shards):05}.tfrecord.gz"
        (folder / shard.name).rename(folder / name)
        renamed.append(shard.model_copy(update={"name": name}))
    return renamed


def _check(
    outcome: Outcome,
    plan: Plan,
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

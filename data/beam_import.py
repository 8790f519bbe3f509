"""The import as Beam jobs: three, with what is decided for all rows together in between.

    parts ──> survey each ──> columns and types   (as of the whole: `Survey.merge`)
    parts ──> outline each ─> ids, cuts           (`Ids` and `Cutter`, as of the local pool)
    parts ──> write shards ─> account             (`Statistics.merge`, rejects in order)

Workers read the source and write the shards; this process holds what the local pool's does, hashes,
and of rows one part's ids at a time. A source with pictures in it is read twice.
"""

import collections
import secrets
import shutil
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from core.progress import show_progress
from data import beam_pool
from data.cutting import Cutter
from data.ids import Ids
from data.parts import (
    Claim,
    NumberedPart,
    OutlineTask,
    Place,
    ShardsTask,
    SurveyTask,
    outline_part,
    survey_part,
    write_shards,
)
from data.plan import Plan
from data.readers.base import DivisibleReader, Part
from data.survey import Survey
from data.tasks import Result


class BeamJobs:
    """Reads and writes in a Beam job for each of the three steps.

    Args:
      reader: of the source, to divide it.
      place: of the source, absolute; workers open it by themselves.
      folder: where the shards come to be; absolute, and the same for the workers.
      beam_options: makes Beam's options, see `data.importer`.

    Raises:
      DexmatchError: Beam does not take them.
    """

    def __init__(
        self,
        reader: DivisibleReader,
        place: Place,
        folder: Path,
        beam_options: Callable[[Path], Sequence[str]],
    ):
        self.reader = reader
        self._place = place
        self._folder = folder
        # Under a name that is new: workers of an import that was killed may still be at it.
        self._scratch = folder / f"job-{secrets.token_hex(4)}"
        self._scratch.mkdir()
        self._beam_args = beam_options(self._scratch)
        beam_pool.make_pipeline(self._beam_args)  # Whether it takes them is known before any work.
        self._parts: Sequence[Part] = ()
        self._pictures: set[str] = set()

    def survey(self) -> Survey:
        """As `survey.survey` finds it; the reader's remarks are filled."""
        with show_progress(f"Dividing {self.reader.name}"):
            self._parts = self.reader.parts()
        found = Survey()
        left_out: collections.Counter[str] = collections.Counter()
        tasks = (SurveyTask(self._place, part) for part in self._parts)
        for each, kinds in self._run(survey_part, tasks, "Looking at"):
            found.merge(each)
            left_out.update(kinds)
        self.reader.set_left_out(left_out)
        self._pictures = found.pictures
        return found

    def results(self, plan: Plan) -> Generator[Result, None, None]:
        """Writes the shards, and tells what became of each, in order."""
        with_images = plan.columns.image in self._pictures
        outlines = self._run(
            outline_part,
            (OutlineTask(self._place, plan, part, with_images) for part in self._parts),
            "Numbering the rows of",
        )
        for results in self._run(write_shards, self._shards(plan, outlines), "Importing"):
            for result in results:
                if result.shard is not None:
                    name = result.shard.name
                    (self._scratch / name).rename(self._folder / name)
                yield result
        shutil.rmtree(self._scratch)

    def _run(
        self, function: Callable[[Any], Any], tasks: Iterable[object], doing: str
    ) -> Iterator[Any]:
        folder = self._scratch / function.__name__
        folder.mkdir()
        return beam_pool.run_in_order(
            function, tasks, folder, self._beam_args, f"{doing} {self.reader.name}"
        )

    def _shards(
        self, plan: Plan, outlines: Iterable[Sequence[Claim | None]]
    ) -> Iterator[ShardsTask]:
        """For each part in which shards begin, all that is decided of them."""
        ids, cutter = Ids(), Cutter()
        task = ShardsTask(self._place, plan)
        shards = 0
        for part, outline in zip(self._parts, outlines, strict=True):
            numbers = array("Q")
            sizes = [_decide(claim, ids, numbers) for claim in outline]
            numbered = NumberedPart(part, len(sizes), numbers)
            if cutter.rows:
                task.parts.append(numbered)
            is_first = True
            for row, size in enumerate(sizes):
                if is_first and not cutter.rows:  # Here is where a shard begins.
                    if task.shards:
                        yield task
                    task = ShardsTask(self._place, plan, [numbered], skip=row)
                    is_first = False
                rows = cutter.rows + 1
                if cutter.add(size):
                    task.shards.append((self._scratch / f"{shards:05}", rows))
                    shards += 1
        if cutter.rows:
            task.shards.append((self._scratch / f"{shards:05}", cutter.rows))
        if task.shards:
            yield task


def _decide(claim: Claim | None, ids: Ids, numbers: "array[int]") -> int:
    """Notes what the row of a claim is told; how large a picture it brings into its shard."""
    if claim is None:
        return 0
    number = ids.claim(claim.name) if claim.is_explicit else ids.number(claim.name)
    numbers.append(number)
    is_duplicate = claim.is_explicit and number > 1
    return 0 if is_duplicate else claim.embedded_bytes

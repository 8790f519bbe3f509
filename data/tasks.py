"""What goes to a worker process and what comes back. Free of TensorFlow: both sides import it."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from data.dataset import Shard
from data.records import Reject, Row
from data.statistics import Statistics


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """Some consecutive rows of a source, and where to put them.

    Attributes:
      path: the file to write.
      folder: what picture paths are relative to.
      allow_outside: whether picture paths may lead out of that folder.
      rows: the rows, and the rejects between them.
    """

    path: Path
    folder: Path
    allow_outside: bool
    rows: Iterable[Row | Reject]


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What became of a task.

    Attributes:
      shard: the file that was written, named as in the task; None if every row was rejected.
      statistics: of the imported rows.
      rejects: the others, in the order of the source.
    """

    shard: Shard | None
    statistics: Statistics
    rejects: Sequence[Reject]

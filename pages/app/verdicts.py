"""What users said of pairs, kept beside the pictures: a log, and a table that can be imported.

    verdicts.jsonl   every verdict in the order in which it was given, with what the model had said
    pairs.jsonl      made of it: the true captions, with the wrong ones as `hard_caption`
    pictures/        named by what they hold

A wrong caption alone is no pair to train on: it goes into `pairs.jsonl` once the picture has a true
one. Nor do the model's answers go there: the importer would take them for metadata, which a model
learns to read from pictures by default. The log's columns are called such that the importer does
not take it for a table of captions.
"""

import contextlib
import fcntl
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from core import features
from core.errors import DexmatchError
from core.files import write_atomically
from pages.app.pictures import Picture

LOG = "verdicts.jsonl"
PAIRS = "pairs.jsonl"
PICTURES = "pictures"


@dataclass(frozen=True)
class Verdict:
    """A line of the log.

    Attributes:
      picture: file name in the folder of pictures.
      judged: the caption.
      describes: whether it describes the picture; None takes an earlier verdict back.
      probability: what the model had said; None if that is not known.
      version: of the model.
      threshold: probability from which a caption counted as right.
      time: in UTC, as ISO 8601.
    """

    picture: str
    judged: str
    describes: bool | None
    probability: float | None
    version: int | None
    threshold: float | None
    time: str


@dataclass(frozen=True)
class Kept:
    """What there is after a verdict.

    Attributes:
      pairs: rows that can be imported.
      waiting: wrong captions whose picture has no true caption yet.
      truths: true captions of the picture.
    """

    pairs: int
    waiting: int
    truths: tuple[str, ...] = ()


class Verdicts:
    """The verdicts in a folder, which several processes may add to.

    Args:
      folder: is made with the first verdict.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def count(self) -> Kept:
        """What there is.

        Raises:
          DexmatchError: the log cannot be read, or is damaged.
        """
        return _kept(self._read())

    def add(self, picture: Picture, given: Verdict) -> Kept:
        """Keeps a verdict, whole or not at all.

        Args:
          picture: what it is on.
          given: its `picture` is `file_name(picture)`.

        Raises:
          DexmatchError: it cannot be written, or the log is damaged, which is left as it is.
        """
        with self._locked():
            verdicts = [*self._read(), given]
            self._keep_picture(picture)
            write_atomically(self.folder / LOG, _lines(map(asdict, verdicts)))
            write_atomically(self.folder / PAIRS, _lines(_rows(verdicts)))
        return _kept(verdicts, given.picture)

    def _keep_picture(self, picture: Picture) -> None:
        path = self.folder / PICTURES / file_name(picture)
        if not path.exists():
            write_atomically(path, picture.content)

    def _read(self) -> list[Verdict]:
        path = self.folder / LOG
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise DexmatchError(f"{path}: cannot be read ({error})") from error
        return [_parsed(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Makes the folders, and keeps other processes out."""
        try:
            (self.folder / PICTURES).mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("w")
        except OSError as error:
            raise DexmatchError(
                f"{self.folder}: verdicts cannot be kept there ({error.strerror}); name another "
                "folder by --feedback"
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def file_name(picture: Picture) -> str:
    """What a picture is called in the folder of pictures."""
    return f"{picture.id}{picture.suffix}"


def _latest(verdicts: Sequence[Verdict]) -> dict[str, dict[str, bool]]:
    """Picture to caption to the last verdict on the two, in the order of the first ones."""
    latest: dict[str, dict[str, bool]] = {}
    for each in verdicts:
        of_picture = latest.setdefault(each.picture, {})
        if each.describes is None:
            of_picture.pop(each.judged, None)
        else:
            of_picture[each.judged] = each.describes
    return latest


def _rows(verdicts: Sequence[Verdict]) -> Iterator[dict[str, object]]:
    """A row for each true caption."""
    for picture, captions in _latest(verdicts).items():
        wrong = [caption for caption, describes in captions.items() if not describes]
        for caption, describes in captions.items():
            if describes:
                yield {
                    features.IMAGE: f"{PICTURES}/{picture}",
                    features.CAPTION: caption,
                    features.HARD_CAPTION: wrong,
                }


def _kept(verdicts: Sequence[Verdict], picture: str = "") -> Kept:
    latest = _latest(verdicts)
    waiting = (len(each) for each in latest.values() if not any(each.values()))
    truths = (caption for caption, describes in latest.get(picture, {}).items() if describes)
    return Kept(sum(1 for _ in _rows(verdicts)), sum(waiting), tuple(truths))


def _lines(rows: Iterator[dict[str, object]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _parsed(path: Path, number: int, line: str) -> Verdict:
    try:
        found = Verdict(**json.loads(line))
        if not (isinstance(found.picture, str) and isinstance(found.judged, str)):
            raise TypeError("names")
        if Path(found.picture).name != found.picture or found.describes not in (True, False, None):
            raise ValueError("values")
    except (ValueError, TypeError, RecursionError) as error:
        raise DexmatchError(
            f"{path}, line {number}: no verdict of this app; mend or remove the line"
        ) from error
    return found

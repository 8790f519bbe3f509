"""What a worker process does: one task, one TFRecord shard."""

import hashlib
import os
from pathlib import Path

import tensorflow as tf

from data import examples, picture_files, pictures
from data.dataset import Shard
from data.pictures import Picture
from data.records import EmbeddedImage, Reject, Rejected, Row
from data.statistics import Statistics
from data.tasks import Result, Task
from data.workers import tick

# Pictures are compressed already: a higher level takes three times as long for one percent.
_OPTIONS = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)


def write(task: Task) -> Result:
    """Writes one shard, and has it safely on disk when it returns."""
    statistics = Statistics()
    rejects = []
    album = _Album(task.folder, task.allow_outside)
    with tf.io.TFRecordWriter(str(task.path), _OPTIONS) as writer:
        for row in task.rows:
            tick()
            if isinstance(row, Reject):
                rejects.append(row)
                continue
            try:
                picture, content_group = album.picture(row)
            except Rejected as error:
                rejects.append(Reject(row.origin, row.image_name, error.reason, error.detail))
                continue
            group = row.group or content_group
            writer.write(examples.build(row, picture, group))
            statistics.add(row, picture, group, content_group)
    return Result(_finished(task.path, statistics.pairs), statistics, rejects)


class _Album:
    """Remembers the last picture: captions of one picture mostly follow each other."""

    def __init__(self, folder: Path, allow_outside: bool):
        self._folder = folder
        self._allow_outside = allow_outside
        self._last: tuple[object, tuple[Picture, str] | Rejected] | None = None

    def picture(self, row: Row) -> tuple[Picture, str]:
        """The picture of a row, and the group of its content."""
        if self._last is None or self._last[0] != row.image:
            self._last = (row.image, self._look_at(row))
        outcome = self._last[1]
        if isinstance(outcome, Rejected):
            raise outcome
        return outcome

    def _look_at(self, row: Row) -> tuple[Picture, str] | Rejected:
        image = row.image
        try:
            if isinstance(image, EmbeddedImage):
                content = image.content
            else:
                content = picture_files.read(self._folder, image, allow_outside=self._allow_outside)
            return pictures.normalise(content), examples.content_group(content)
        except Rejected as error:
            return error


def _finished(path: Path, pairs: int) -> Shard | None:
    if pairs == 0:
        path.unlink()
        return None
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        # The rename at the end of the import promises a whole data set, even after a power cut.
        os.fsync(file.fileno())
    return Shard(name=path.name, examples=pairs, bytes=path.stat().st_size, sha256=digest)

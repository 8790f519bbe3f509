"""Picture files to embeddings, each read while the model is busy with the ones before."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving.client import Client, InvalidRequest, RequestTooLarge
from serving.client.base import Floats
from serving.search.pictures import Unreadable, read

_THREADS = 4
_CAPTIONS = 512
"""In one call, which has one deadline."""
_NOTHING = b""
"""Stands for a picture that cannot be had: the model gives it zeros, of the right width."""
_REFUSED = (InvalidRequest, RequestTooLarge)
NOT_DECODED = "the model cannot decode it"


@dataclass(frozen=True)
class Encoded:
    """A part of the pictures that were asked for.

    Attributes:
      paths: N picture files.
      embeddings: float32 [N, D], zeros where a picture cannot be judged.
      reasons: why, for those that cannot.
    """

    paths: list[Path]
    embeddings: Floats
    reasons: dict[Path, str]


def encode_files(client: Client, paths: Sequence[Path]) -> Iterator[Encoded]:
    """Encodes picture files in batches, in their order.

    Raises:
      ClientError: the model cannot be asked.
    """
    size = client.settings.max_batch
    batches = [list(paths[start : start + size]) for start in range(0, len(paths), size)]
    with ThreadPoolExecutor(_THREADS) as pool:
        # One batch ahead: more would fill the memory with pictures that wait.
        ahead = [pool.submit(_read, path) for path in batches[0]] if batches else []
        for number, batch in enumerate(batches):
            now = ahead
            following = batches[number + 1] if number + 1 < len(batches) else []
            ahead = [pool.submit(_read, path) for path in following]
            yield _encode(client, batch, now)


def encode_all(
    client: Client, paths: Sequence[Path], on_progress: Callable[[int], None]
) -> Encoded:
    """See `encode_files`; all in one, telling the number of pictures done."""
    parts = []
    for part in encode_files(client, paths):
        parts.append(part)
        on_progress(sum(len(each.paths) for each in parts))
    if not parts:
        return Encoded([], np.zeros((0, 0), np.float32), {})
    return Encoded(
        [path for part in parts for path in part.paths],
        np.concatenate([part.embeddings for part in parts]),
        {path: reason for part in parts for path, reason in part.reasons.items()},
    )


def encode_captions(
    client: Client, captions: Sequence[str], on_progress: Callable[[int], None]
) -> Floats:
    """Encodes any number of captions, telling how many are done.

    Returns:
      float32 [N, D], zeros for captions without a word; [0, 0] for none.
    """
    parts = []
    for start in range(0, len(captions), _CAPTIONS):
        part = captions[start : start + _CAPTIONS]
        parts.append(client.encode_captions(part))
        on_progress(start + len(part))
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def is_judged(embeddings: Floats) -> np.ndarray:
    """bool [N] for float32 [N, D]: the model's rule, see `modules.export.signatures`."""
    judged: np.ndarray = np.any(embeddings != 0, axis=1)
    return judged


def _read(path: Path) -> bytes | Unreadable:
    try:
        return read(path)
    except Unreadable as unreadable:
        return unreadable


def _encode(client: Client, paths: list[Path], read_: list[Future[bytes | Unreadable]]) -> Encoded:
    contents = [each.result() for each in read_]
    reasons = {
        path: str(content)
        for path, content in zip(paths, contents, strict=True)
        if isinstance(content, Unreadable)
    }
    readable = [content if isinstance(content, bytes) else _NOTHING for content in contents]
    try:
        embeddings = client.encode_images(readable)
    except _REFUSED:
        # Such as a picture with more pixels than the server takes: the others are no worse for it.
        embeddings = _encode_each(client, paths, readable, reasons)
    for path, judged in zip(paths, is_judged(embeddings), strict=True):
        if not judged:
            reasons.setdefault(path, NOT_DECODED)
    return Encoded(paths, embeddings, reasons)


def _encode_each(
    client: Client, paths: list[Path], contents: list[bytes], reasons: dict[Path, str]
) -> Floats:
    """Encodes pictures one by one, and adds to `reasons` why the model refuses some."""
    embeddings = []
    for path, content in zip(paths, contents, strict=True):
        try:
            embeddings.append(client.encode_images([content]))
        except _REFUSED as error:
            reasons[path] = str(error)
            embeddings.append(client.encode_images([_NOTHING]))
    return np.concatenate(embeddings)

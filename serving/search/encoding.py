"""Picture files to embeddings, each read while the model is busy with the ones before."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving.client import Client, InvalidRequest, RequestTooLarge, ServerFault
from serving.client.base import Floats
from serving.search.pictures import Unreadable, read

_THREADS = 4
_CAPTIONS = 512
"""In one call, which has one deadline."""
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


def encode_files(client: Client, paths: Sequence[Path], width: int) -> Iterator[Encoded]:
    """Encodes picture files in batches, in their order.

    Pictures that cannot be read are not sent to the model.

    Args:
      client: the model.
      paths: picture files.
      width: numbers in an embedding of this model.

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
            yield _encode(client, batch, now, width)


def encode_all(
    client: Client, paths: Sequence[Path], width: int, on_progress: Callable[[int], None]
) -> Encoded:
    """See `encode_files`; all in one, telling the number of pictures done."""
    parts = []
    for part in encode_files(client, paths, width):
        parts.append(part)
        on_progress(sum(len(each.paths) for each in parts))
    if not parts:
        return Encoded([], np.zeros((0, width), np.float32), {})
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
        _check_width(client, parts[-1], parts[0].shape[-1])
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


def _encode(
    client: Client, paths: list[Path], read_: list[Future[bytes | Unreadable]], width: int
) -> Encoded:
    contents = {}
    reasons = {}
    for path, content in zip(paths, [each.result() for each in read_], strict=True):
        if isinstance(content, Unreadable):
            reasons[path] = str(content)
        else:
            contents[path] = content
    found = _embeddings(client, contents, reasons)
    for embedding in found.values():
        _check_width(client, embedding, width)
    nothing = np.zeros(width, np.float32)
    embeddings = np.stack([found.get(path, nothing) for path in paths])
    for path, judged in zip(paths, is_judged(embeddings), strict=True):
        if not judged:
            reasons.setdefault(path, NOT_DECODED)
    return Encoded(paths, embeddings, reasons)


def _embeddings(
    client: Client, contents: Mapping[Path, bytes], reasons: dict[Path, str]
) -> dict[Path, Floats]:
    """float32 [D] of each picture; adds to `reasons` why the model refuses some."""
    try:
        return dict(zip(contents, client.encode_images(list(contents.values())), strict=True))
    except _REFUSED:
        # Such as a picture with more pixels than the server takes: the others are no worse for it.
        found = {}
        for path, content in contents.items():
            try:
                (found[path],) = client.encode_images([content])
            except _REFUSED as error:
                reasons[path] = str(error)
        return found


def _check_width(client: Client, embeddings: Floats, width: int) -> None:
    if embeddings.shape[-1] != width:
        raise ServerFault(
            f"{client.where}: answered embeddings of {width} and of {embeddings.shape[-1]} numbers"
        )

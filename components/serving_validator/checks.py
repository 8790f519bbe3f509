"""What a candidate must do in a model server: answer as it does in process, fast enough."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import tensorflow as tf

from core import features
from data.pair_examples import TruePair
from modules.export import signatures
from results.serving_report import Check
from serving.client import Client, ClientError

_NO_PICTURE = b"no picture"
_NO_CAPTION = ""
_MOST_NAMED = 3
_AT_ONCE = 16
"""Clients that ask at a time."""


@dataclass(frozen=True)
class Questions:
    """What the server is asked, and what it must answer.

    Attributes:
      images: N encoded pictures; one of them is none.
      captions: N captions; one is empty.
      probabilities: float32 [N], of the model in this process, asked one by one.
    """

    images: list[bytes]
    captions: list[str]
    probabilities: np.ndarray


def contract(loaded: Any) -> Check:
    """Whether a SavedModel has the five signatures, with the names that callers depend on.

    Args:
      loaded: what `tf.saved_model.load` gives.
    """
    missing = []
    for name, (inputs, output) in signatures.CONTRACT.items():
        signature = loaded.signatures.get(name)
        if signature is None:
            missing.append(name)
            continue
        # The names under which a caller passes them.
        accepted = signature.structured_input_signature[1]
        missing += [f"{name}: input {key}" for key in inputs if key not in accepted]
        missing += [] if output in signature.structured_outputs else [f"{name}: output {output}"]
    found = f"missing: {', '.join(missing)}" if missing else "all five"
    return Check("signatures", not missing, found)


def questions(loaded: Any, pairs: Sequence[TruePair]) -> Questions:
    """Questions about true pairs, and two that cannot be judged among them.

    Args:
      loaded: what `tf.saved_model.load` gives.
      pairs: at least one.
    """
    images = [pair.image for pair in pairs]
    captions = [pair.caption.decode("utf-8", "replace") for pair in pairs]
    # In the middle: their neighbours on both sides must not be changed.
    middle = len(pairs) // 2
    images[middle:middle] = [_NO_PICTURE, images[0]]
    captions[middle:middle] = [captions[0], _NO_CAPTION]
    score = loaded.signatures[signatures.SERVING_DEFAULT]
    answers = [
        score(image=tf.constant([image]), caption=tf.constant([caption]))[features.PROBABILITY]
        for image, caption in zip(images, captions, strict=True)
    ]
    return Questions(images, captions, np.concatenate([np.ravel(each) for each in answers]))


def evaluation_path(loaded: Any, asked: Questions, tolerance: float) -> Check:
    """Whether `serve_examples`, which the Evaluator asks, says the same."""
    examples = []
    for image, caption in zip(asked.images, asked.captions, strict=True):
        example = tf.train.Example()
        example.features.feature[features.IMAGE].bytes_list.value.append(image)
        example.features.feature[features.CAPTION].bytes_list.value.append(caption.encode())
        examples.append(example.SerializeToString())
    answer = loaded.signatures[signatures.SERVE_EXAMPLES](examples=tf.constant(examples))
    found = np.ravel(answer[features.PROBABILITY])
    return _compared("answers of serve_examples", found, asked.probabilities, tolerance)


def answers(client: Client, api: str, asked: Questions, tolerance: float) -> list[Check]:
    """Whether a server says the same, all at once and through the embeddings.

    Args:
      client: to the server.
      api: "REST" or "gRPC", for people.
      asked: what is asked.
      tolerance: how far a probability may be off.
    """
    try:
        together = client.score(asked.images, asked.captions)
        embedded = client.score_embeddings(
            client.encode_images(asked.images), client.encode_captions(asked.captions)
        )
    except ClientError as error:
        return [Check(f"answers over {api}", False, str(error))]
    return [
        _compared(f"answers over {api}", together, asked.probabilities, tolerance),
        _compared(f"answers by embeddings over {api}", embedded, asked.probabilities, tolerance),
    ]


def answers_at_once(client: Client, api: str, asked: Questions, tolerance: float) -> Check:
    """Whether a server says the same to many who ask for a pair each, which it may join."""
    name = f"answers to many at once over {api}"
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(
                lambda image, caption: client.score([image], [caption]),
                asked.images,
                asked.captions,
            )
            together = np.concatenate(list(found))
    except ClientError as error:
        return Check(name, False, str(error))
    return _compared(name, together, asked.probabilities, tolerance)


def latency(client: Client, api: str, asked: Questions, ceiling_ms: float) -> Check:
    """Whether 99 % of requests for a single pair come back in time."""
    name = f"latency over {api}"
    taken = []
    try:
        for image, caption in zip(asked.images, asked.captions, strict=True):
            start = time.perf_counter()
            client.score([image], [caption])
            taken.append((time.perf_counter() - start) * 1000)
    except ClientError as error:
        return Check(name, False, str(error))
    median, slow = np.percentile(taken, [50, 99])
    found = f"p50 {median:.0f} ms, p99 {slow:.0f} ms (at most {ceiling_ms:g})"
    return Check(name, bool(slow <= ceiling_ms), found)


def memory(pid: int, ceiling_mb: float) -> Check:
    """Whether a process and its children hold no more than they may.

    Args:
      pid: of the process.
      ceiling_mb: in millions of bytes of resident memory.
    """
    process = psutil.Process(pid)
    held = sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
    return Check(
        "memory", held <= ceiling_mb * 1e6, f"{held / 1e6:.0f} MB (at most {ceiling_mb:g})"
    )


def _compared(name: str, found: np.ndarray, expected: np.ndarray, tolerance: float) -> Check:
    if found.shape != expected.shape:
        return Check(name, False, f"{len(found)} answers to {len(expected)} questions")
    # NaN is nowhere near anything.
    wrong = ~(np.abs(found - expected) <= tolerance)
    if wrong.any():
        named = ", ".join(
            f"{found[row]:.6g} instead of {expected[row]:.6g}"
            for row in np.flatnonzero(wrong)[:_MOST_NAMED]
        )
        return Check(name, False, f"{wrong.sum()} of {len(found)} are wrong: {named}")
    worst = np.abs(found - expected).max()
    return Check(name, True, f"{len(found)} as in process, to {worst:.1g}")

"""What every client offers, whatever lies between it and the model."""

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np

from core import features
from core.matcher import Floats, MatcherWeights
from serving.client.certificates import ClientCertificate
from serving.client.errors import InvalidRequest, ModelNotFound, ServerFault
from serving.client.retries import Deadline, Retries

AVAILABLE = "AVAILABLE"
DEFAULT_MODEL = "dexmatch"
_MIB = 2**20


@dataclass(frozen=True)
class VersionStatus:
    """How one version of the model is.

    Attributes:
      version: its number.
      state: name of TensorFlow Serving's `ModelVersionStatus.State`, such as "AVAILABLE".
      error: why it could not be loaded; empty if it could.
    """

    version: int
    state: str
    error: str = ""


@dataclass(frozen=True)
class Settings:
    """How a client goes about its calls.

    Attributes:
      deadline_s: seconds that one call of a method may take, all its batches and retries together.
        A model in this process cannot be interrupted and has no deadline.
      retries: what happens while the server is unavailable.
      max_batch: the most pictures, captions or pairs of them in one request. A server with batching
        refuses more than its own `max_batch_size`.
      max_embeddings: the most pairs of embeddings in one request, which cost far less each; as few
        as `max_batch` once a server refused more.
      max_batch_bytes: the most bytes of pictures in one request, but for a single larger one.
      max_answer_bytes: the most bytes that an answer may hold, as sent and unpacked. Embeddings
        take some 20 bytes a number over REST.
      client_certificate: what is shown to a server that demands one, over TLS.
    """

    deadline_s: float = 60.0
    retries: Retries = field(default_factory=Retries)
    max_batch: int = 32
    max_embeddings: int = 4096
    max_batch_bytes: int = 8 * _MIB
    max_answer_bytes: int = 16 * _MIB
    client_certificate: ClientCertificate | None = None

    def __post_init__(self) -> None:
        sizes = ("max_batch", "max_embeddings", "max_batch_bytes", "max_answer_bytes")
        for name in ("deadline_s", *sizes):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be more than 0")


class Client(abc.ABC):
    """A model that judges pairs of pictures and captions.

    Pictures are the content of PNG, JPEG, GIF, BMP or WebP files. A picture that cannot be decoded,
    or a caption without a word, gets an embedding of zeros and the probability 0.0 exactly, which
    no judged pair gets. Anything may be asked in any number, none included.

    Every method raises a `ClientError`: see `serving.client.errors`.

    Args:
      where: the server's address or the model's folder, for messages.
      settings: deadlines, retries and batches.
    """

    def __init__(self, where: str, settings: Settings):
        self.where = where
        self.settings = settings
        self._max_embeddings = settings.max_embeddings
        self._pinned: int | None = None

    def score(self, images: Sequence[bytes], captions: Sequence[str]) -> Floats:
        """How likely it is that each caption describes the picture beside it.

        Args:
          images: N encoded pictures.
          captions: N captions.

        Returns:
          float32 [N], probabilities.
        """
        if len(images) != len(captions):
            raise InvalidRequest(f"{len(images)} images with {len(captions)} captions")
        inputs = {features.IMAGE: _checked(images, bytes), features.CAPTION: _texts(captions)}
        return self._in_batches("serving_default", inputs, features.PROBABILITY)

    def encode_images(self, images: Sequence[bytes]) -> Floats:
        """Embeddings of N encoded pictures, float32 [N, D]; [0, 0] for none."""
        inputs = {features.IMAGE: _checked(images, bytes)}
        return self._in_batches("encode_image", inputs, features.EMBEDDING)

    def encode_captions(self, captions: Sequence[str]) -> Floats:
        """Embeddings of N captions, float32 [N, D]; [0, 0] for none."""
        inputs = {features.CAPTION: _texts(captions)}
        return self._in_batches("encode_caption", inputs, features.EMBEDDING)

    def score_embeddings(self, images: Floats, captions: Floats) -> Floats:
        """What `score` says of the pairs that were encoded.

        Args:
          images: float32 [N, D], from `encode_images`.
          captions: float32 [N, D], from `encode_captions`.

        Returns:
          float32 [N], probabilities.
        """
        if images.shape != captions.shape or images.ndim != 2:
            raise InvalidRequest(
                f"embeddings of shape {list(images.shape)} with {list(captions.shape)}; both must "
                "be [N, D]"
            )
        inputs = {
            features.IMAGE_EMBEDDING: np.asarray(images, np.float32),
            features.CAPTION_EMBEDDING: np.asarray(captions, np.float32),
        }
        deadline = self._deadline()
        try:
            return self._in_batches("score_embeddings", inputs, features.PROBABILITY, deadline)
        except InvalidRequest:
            # A server with batching refuses requests larger than its batches. It does not say so in
            # words to rely on, so whatever it refused is tried once more in small parts.
            if min(self._max_embeddings, len(images)) <= self.settings.max_batch:
                raise
            self._max_embeddings = self.settings.max_batch
        return self._in_batches("score_embeddings", inputs, features.PROBABILITY, deadline)

    def score_all(self, images: Floats, captions: Floats) -> Floats:
        """The probability of every picture with every caption.

        Args:
          images: float32 [I, D], from `encode_images`.
          captions: float32 [C, D], from `encode_captions`.

        Returns:
          float32 [I, C].
        """
        if not len(images) or not len(captions):
            return np.zeros((len(images), len(captions)), np.float32)
        pairs = self.score_embeddings(
            np.repeat(images, len(captions), axis=0), np.tile(captions, (len(images), 1))
        )
        return pairs.reshape(len(images), len(captions))

    def matcher_weights(self) -> MatcherWeights | None:
        """What it takes to rank embeddings without asking the model; None if it is not to be had.

        Only a model in this process tells it, and only if it joins by cosine and was not pushed
        before there was such a thing.
        """
        return None

    @abc.abstractmethod
    def status(self) -> list[VersionStatus]:
        """The versions that the server knows of, the highest first."""

    def version(self) -> int:
        """The number of the version that answers, or that is pinned.

        Raises:
          ModelNotFound: none is loaded.
        """
        return self._answering() if self._pinned is None else self._pinned

    def pin(self) -> int:
        """Has the version that answers now answer all further calls.

        A server turns to another version when one is pushed, and the embeddings of two versions
        must not be mixed: pin before encoding what is scored later. Calls raise `ModelNotFound`
        once the version is served no more. Pinned again, a client turns to the version that answers
        by then, for which all must be encoded anew.

        Returns:
          The number of the version.

        Raises:
          ModelNotFound: none is loaded.
        """
        self._pinned = self._answering()
        return self._pinned

    def _answering(self) -> int:
        """The number of the version that answers who names none."""
        versions = self.status()
        for status in versions:
            if status.state == AVAILABLE:
                return status.version
        told = "; ".join(f"version {each.version} is {each.state}" for each in versions)
        raise ModelNotFound(f"{self.where}: no version can be asked{f' ({told})' if told else ''}")

    def close(self) -> None:  # noqa: B027  Not every client has something to let go of.
        """Lets go of connections. Calls after it are errors."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abc.abstractmethod
    def _predict(
        self, signature: str, inputs: Mapping[str, Any], output: str, deadline: Deadline
    ) -> Floats:
        """One request.

        Args:
          signature: its name.
          inputs: by name, a list of bytes, a list of str, or float32 [N, D].
          output: the name of the output to return.
          deadline: by when.

        Returns:
          float32 [N] or [N, D].
        """

    def _deadline(self) -> Deadline:
        return Deadline(self.settings.deadline_s, self.where)

    def _in_batches(
        self,
        signature: str,
        inputs: Mapping[str, Any],
        output: str,
        deadline: Deadline | None = None,
    ) -> Floats:
        """Sends a request in parts that are not too large, and puts the answers together."""
        deadline = deadline or self._deadline()
        answers: list[Floats] = []
        for part in self._parts(inputs):
            sent = {name: values[part] for name, values in inputs.items()}
            answer = self._predict(signature, sent, output, deadline)
            rows = part.stop - part.start
            if output == features.PROBABILITY and answer.size == rows:
                answer = answer.reshape(rows)
            fault = _fault(answer, output, rows)
            if answers and answer.shape[1:] != answers[0].shape[1:]:
                fault = (
                    fault or f"embeddings of {answers[0].shape[1]} and {answer.shape[1]} numbers"
                )
            if fault:
                raise ServerFault(f"{self.where}: {signature} answered {fault}")
            answers.append(answer)
        if not answers:
            return np.zeros((0, 0) if output == features.EMBEDDING else 0, np.float32)
        return np.concatenate(answers)

    def _parts(self, inputs: Mapping[str, Any]) -> Iterator[slice]:
        """The rows of each request."""
        rows = len(next(iter(inputs.values())))
        is_encoded = features.IMAGE_EMBEDDING in inputs
        most = self._max_embeddings if is_encoded else self.settings.max_batch
        images = inputs.get(features.IMAGE)
        weigh: Callable[[int], int] = (lambda row: len(images[row])) if images else (lambda _: 0)
        start, size = 0, 0
        for row in range(rows):
            weight = weigh(row)
            is_full = row - start >= most or size + weight > self.settings.max_batch_bytes
            if is_full and row > start:
                yield slice(start, row)
                start, size = row, 0
            size += weight
        if rows:
            yield slice(start, rows)


def _fault(answer: Floats, output: str, rows: int) -> str | None:
    """What is wrong with an answer to so many rows; None if nothing is."""
    is_probability = output == features.PROBABILITY
    is_shaped = (
        answer.shape == (rows,)
        if is_probability
        else answer.ndim == 2 and len(answer) == rows and answer.shape[1] > 0
    )
    if not is_shaped or answer.dtype != np.float32:
        wanted = "[N]" if is_probability else "[N, D]"
        return (
            f"{answer.dtype} {list(answer.shape)} to {rows} rows, not float32 {wanted}; is it a "
            "model that dexmatch pushed?"
        )
    # NaN is not within any bounds.
    greatest = 1 if is_probability else np.finfo(np.float32).max
    least = 0 if is_probability else -greatest
    is_within = (answer >= least) & (answer <= greatest)
    if not is_within.all():
        return f"{answer[~is_within][0]}, which is no {output}"
    return None


def _checked(values: Sequence[Any], kind: type) -> list[Any]:
    """The values as a list, all of them of this type."""
    if isinstance(values, str | bytes):
        raise InvalidRequest(f"one {type(values).__name__}; give a list of {kind.__name__}")
    for number, value in enumerate(values):
        if not isinstance(value, kind):
            wanted = "the content of the file, as bytes" if kind is bytes else "a str"
            raise InvalidRequest(f"item {number} is a {type(value).__name__}; give {wanted}")
    return list(values)


def _texts(captions: Sequence[str]) -> list[str]:
    """The captions, all of them such that they can be sent."""
    texts: list[str] = _checked(captions, str)
    for number, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"caption {number} is no Unicode text: {text!a}") from error
    return texts

"""One version of one model: loading, checking of inputs, running, warm-up."""

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, saved_model_pb2

from core.files import plain_name
from serving.server import pictures
from serving.server.batching import Arrays, Batcher, Batching, Slots, check_rows, run_alone
from serving.server.budget import Budget
from serving.server.errors import ServingError, code_of, invalid

DEFAULT_SIGNATURE = "serving_default"
SMALL = 1 << 16
"""Bytes of a request, or of an answer, that the event loop itself looks through. For more, a thread
does, so that small requests are answered in between."""
_NUMBERS_A_TEXT = 16
"""Rows of numbers that cost about as much as a row with a picture or a text."""
_NAMES = 100
"""Names of inputs that a message tells of."""
_INTERNAL = "__saved_model"
"""How the names of signatures begin that are TensorFlow's own."""

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class TensorInfo:
    """What a signature says of one input or output.

    Attributes:
      name: as clients write it.
      dtype: object for strings, whose values are bytes.
      tf_dtype: number in the enum `tensorflow.DataType`.
      shape: None where a size is free; None instead of a tuple if the rank is unknown.
    """

    name: str
    dtype: np.dtype
    tf_dtype: int
    shape: tuple[int | None, ...] | None

    @classmethod
    def from_proto(cls, name: str, info: meta_graph_pb2.TensorInfo) -> "TensorInfo":
        """What the SavedModel says."""
        shape = None
        if not info.tensor_shape.unknown_rank:
            shape = tuple(None if d.size < 0 else int(d.size) for d in info.tensor_shape.dim)
        dtype = np.dtype(tf.dtypes.as_dtype(info.dtype).as_numpy_dtype)
        return cls(name, dtype, info.dtype, shape)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of that shape may be fed."""
        return self.shape is None or (
            len(shape) == len(self.shape)
            and all(
                expected in (None, size) for size, expected in zip(shape, self.shape, strict=True)
            )
        )


@dataclass(frozen=True)
class Signature:
    """One way to call a model.

    Attributes:
      method_name: such as `tensorflow/serving/predict`.
    """

    name: str
    method_name: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    @classmethod
    def from_proto(cls, name: str, definition: meta_graph_pb2.SignatureDef) -> "Signature":
        """What the SavedModel says."""
        return cls(
            name,
            definition.method_name,
            {
                key: TensorInfo.from_proto(key, info)
                for key, info in sorted(definition.inputs.items())
            },
            {
                key: TensorInfo.from_proto(key, info)
                for key, info in sorted(definition.outputs.items())
            },
        )


@dataclass(frozen=True)
class RunOptions:
    """How versions answer.

    Attributes:
      threads: where TensorFlow runs.
      batching: how requests are joined; None if they are not.
      slots: for batches, shared by all models; needed with `batching`.
      max_rows: of pictures or texts in a request, and `_NUMBERS_A_TEXT` times as many of numbers;
        None for no limit. With `batching`, its `max_batch_size` is the limit for all.
      max_pixels: pictures with more are refused before they are decoded; None for no limit.
      max_request_pixels: of all pictures in a request; None for no limit.
      budget: for all requests under way.
      timeout_s: after which TensorFlow gives up a batch; None for never.
      session: how TensorFlow computes.
      tags: of the graph to load; TensorFlow's default is `serve`.
      record: told of every answered request: servable, signature, inputs, outputs.
      observe_run: told of every answered request: model, and seconds with those in the queue.
      observe_batch: told of every batch: name of the thread pool, and the seconds that each of
        its requests has waited.
    """

    threads: Executor
    batching: Batching | None = None
    slots: Slots | None = None
    max_rows: int | None = None
    max_pixels: int | None = None
    max_request_pixels: int | None = None
    budget: Budget = field(default_factory=Budget)
    timeout_s: float | None = None
    session: config_pb2.ConfigProto | None = None
    tags: tuple[str, ...] = ("serve",)
    record: Callable[["Servable", Signature, Arrays, Arrays], None] | None = None
    observe_run: Callable[[str, float], None] = lambda model, seconds: None
    observe_batch: Callable[[str, Sequence[float]], None] = lambda pool, waited: None


class Servable:
    """One version of one model, loaded.

    Attributes:
      signature_defs: as they are in the SavedModel, for GetModelMetadata.
    """

    def __init__(self, model: str, version: int, path: Path, options: RunOptions):
        """Loads a SavedModel; takes seconds, so call it in a thread.

        Raises:
          Exception: whatever TensorFlow raises for a folder that is no sound SavedModel.
        """
        self.model = model
        self.version = version
        self._options = options
        self.signature_defs = _signature_defs(path, options.tags)
        self.signatures: Mapping[str, Signature] = {
            name: Signature.from_proto(name, definition)
            for name, definition in sorted(self.signature_defs.items())
            if not name.startswith(_INTERNAL)
        }
        # Not `tf.saved_model.load`: what that loads is never let go of, some 100 MB a model. A
        # session is what TensorFlow Serving runs, too, and can be stopped.
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=options.session)
        try:
            with self._session.graph.as_default(), plain_name(path) as name:
                tf.compat.v1.saved_model.load(self._session, options.tags, name)
        except BaseException:
            self._session.close()
            raise
        self._functions: dict[str, Callable[..., list[Any]]] = {}
        self._making = threading.Lock()
        self._batcher = None
        if options.batching and options.slots:
            self._batcher = Batcher(
                options.batching, self.call, options.threads, options.slots, options.observe_batch
            )

    def _function(self, signature: str) -> Callable[..., list[Any]]:
        """From inputs to outputs, both in the order of their names.

        The first call of a signature takes long: TensorFlow optimises its part of the graph.
        """
        with self._making:
            if signature not in self._functions:
                definition = self.signature_defs[signature]
                options = config_pb2.CallableOptions()
                options.feed.extend(info.name for _, info in sorted(definition.inputs.items()))
                options.fetch.extend(info.name for _, info in sorted(definition.outputs.items()))
                if self._options.timeout_s:
                    options.run_options.timeout_in_ms = round(self._options.timeout_s * 1000)
                # `Session.run` is the same in public, and takes milliseconds more for every call.
                self._functions[signature] = self._session._make_callable_from_options(options)
        return self._functions[signature]

    def close(self) -> None:
        """Lets go of the model; what it computes just now is given up."""
        self._session.close()

    def signature(self, name: str) -> Signature:
        """The signature of that name, `serving_default` if it is empty.

        Raises:
          ServingError: FAILED_PRECONDITION, there is none.
        """
        found = self.signatures.get(name or DEFAULT_SIGNATURE)
        if found is None:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{name or DEFAULT_SIGNATURE}" not found.',
            )
        return found

    async def run(
        self, signature: str, inputs: Arrays, outputs: Collection[str] = ()
    ) -> dict[str, np.ndarray]:
        """Answers one request, joined with others where batching is on.

        Args:
          signature: name; empty means `serving_default`.
          inputs: arrays of the signature's dtypes; strings are object arrays of bytes.
          outputs: names of those to return; all if empty.

        Raises:
          ServingError: FAILED_PRECONDITION for an unknown signature, INVALID_ARGUMENT for inputs
            and outputs that do not fit it, UNAVAILABLE for a full queue, or what TensorFlow
            answered.
        """
        found = self.signature(signature)
        wanted = _wanted(found, outputs)
        self.admit(found, inputs)
        size = sum(map(_bytes_of, inputs.values()))
        share = self._options.budget.share()
        try:
            share.add_bytes(size)
            share.add_pixels(await off_loop(size, self._pixels, inputs))
        except BaseException:
            share.give_back()
            raise
        began = time.perf_counter()
        # Where a request is given up, TensorFlow goes on with it: only then its share is free.
        if self._batcher:
            answer = await self._batcher.run(found.name, inputs, share.give_back)
        else:
            answer = await run_alone(
                self._options.threads, self.call, found.name, inputs, share.give_back
            )
        self._options.observe_run(self.model, time.perf_counter() - began)
        chosen = {name: answer[name] for name in wanted}
        if self._options.record:
            self._options.record(self, found, inputs, chosen)
        return chosen

    def admit(
        self,
        signature: Signature,
        inputs: Mapping[str, Any],
        declared: Callable[[Any], "Declared"] = lambda array: array,
    ) -> None:
        """Holds inputs against the signature and the limits; takes no time that grows with them.

        Args:
          inputs: arrays, or what arrays can be made of.
          declared: tells type and shape of the latter.

        Raises:
          ServingError: INVALID_ARGUMENT, naming what does not fit.
        """
        self.check(signature, inputs, declared)
        self.check_rows(signature, {name: declared(found).shape for name, found in inputs.items()})

    def check(
        self,
        signature: Signature,
        inputs: Mapping[str, Any],
        declared: Callable[[Any], "Declared"] = lambda array: array,
    ) -> None:
        """Holds inputs against the signature; see `admit`."""
        _check_names(signature, inputs)
        for number, info in enumerate(signature.inputs.values()):
            found = declared(inputs[info.name])
            if found.dtype != info.dtype:
                raise invalid(
                    f"Expects arg[{number}] to be {_type_name(info.dtype)} but "
                    f'{_type_name(found.dtype)} is provided (input "{info.name}")'
                )
            if not info.fits(found.shape):
                raise invalid(
                    f'input "{info.name}" has shape {_shape_text(found.shape)}, which does not '
                    f"fit {_shape_text(info.shape or ())} of signature {signature.name}"
                )

    def check_rows(self, signature: Signature, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Refuses a request of too many rows.

        Args:
          shapes: of the inputs; those of other names do not matter.

        Raises:
          ServingError: INVALID_ARGUMENT.
        """
        options = self._options
        for name, info in signature.inputs.items():
            rows = next(iter(shapes.get(name, ())), 0)
            if options.batching:
                check_rows(rows, options.batching.max_batch_size)
            elif options.max_rows is not None:
                most = options.max_rows * (1 if info.dtype == object else _NUMBERS_A_TEXT)
                if rows > most:
                    raise invalid(
                        f'input "{name}" has {rows:,} rows, more than the {most:,} that this '
                        "server takes in a request"
                    )

    def _pixels(self, inputs: Arrays) -> int:
        most, together = self._options.max_pixels, self._options.max_request_pixels
        if most is None and together is None:
            return 0
        return pictures.count_pixels(
            inputs, sys.maxsize if most is None else most, together or sys.maxsize
        )

    def call(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """Runs a signature on inputs that were checked; blocks, and lets go of the GIL meanwhile.

        Raises:
          ServingError: what TensorFlow answered; DEADLINE_EXCEEDED if it took too long, UNAVAILABLE
            if the model was closed.
        """
        outputs = self.signatures[signature].outputs
        try:
            answer = self._function(signature)(*(inputs[name] for name in sorted(inputs)))
        except tf.errors.DeadlineExceededError as error:
            raise ServingError(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"Deadline exceeded: not computed within {self._options.timeout_s:g} s",
            ) from error
        except tf.errors.CancelledError as error:
            raise _closed() from error
        except tf.errors.OpError as error:
            raise ServingError(code_of(error.error_code), _essence(error.message)) from error
        except UnicodeDecodeError as error:
            # TensorFlow's message, which quotes bytes of the request that are no UTF-8.
            raise invalid(_essence(error.object.decode("utf-8", "replace"))) from error
        except RuntimeError as error:  # What a closed session raises.
            raise _closed() from error
        return {
            name: np.asarray(value, outputs[name].dtype)
            for name, value in zip(sorted(outputs), answer, strict=True)
        }


class Declared(Protocol):
    """What is known of an array before there is one; arrays have it, too."""

    @property
    def dtype(self) -> np.dtype:
        """Of its values; object for strings."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""


async def off_loop(size: int, function: Callable[..., _Made], *arguments: Any) -> _Made:
    """Calls a function whose time grows with so many bytes: in a thread, unless they are few."""
    if size < SMALL:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def _bytes_of(array: np.ndarray) -> int:
    return sum(map(len, array.flat)) + array.nbytes if array.dtype == object else array.nbytes


def _closed() -> ServingError:
    return ServingError(grpc.StatusCode.UNAVAILABLE, "The model was unloaded; try again")


def _essence(message: str) -> str:
    """One line out of what TensorFlow says, without where in its graph."""
    lines = [
        line.strip()
        for line in message.splitlines()
        if not line.startswith(("Graph execution error", "Detected at", "<stack traces", "\t"))
    ]
    return " ".join(line for line in lines if line) or message


def _signature_defs(path: Path, tags: tuple[str, ...]) -> dict[str, meta_graph_pb2.SignatureDef]:
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    for graph in model.meta_graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            return dict(graph.signature_def)
    raise ServingError(grpc.StatusCode.NOT_FOUND, f"{path}: no graph with the tags {tags}")


def _wanted(signature: Signature, outputs: Collection[str]) -> Collection[str]:
    if not outputs:
        return signature.outputs
    seen = set()
    for name in outputs:
        if name not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in "
                f"the set {{{','.join(signature.outputs)}}}."
            )
        if name in seen:
            raise invalid(f"duplicate output tensor alias: {name}")
        seen.add(name)
    return outputs


def _check_names(signature: Signature, inputs: Collection[str]) -> None:
    """The words are those of VerifyRequestInputsSize and GetInputValues in TensorFlow Serving."""
    expected = signature.inputs
    if len(inputs) == len(expected) and all(name in expected for name in inputs):
        return
    sent = sorted(itertools.islice(inputs, _NAMES))
    extra = [name for name in sent if name not in expected]
    missing = sorted(name for name in expected if name not in inputs)
    raise invalid(
        f"input size does not match signature: {len(inputs)}!={len(expected)} "
        f"len({{{','.join(sent)}}}) != len({{{','.join(expected)}}}). "
        f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
    )


def _type_name(dtype: np.dtype) -> str:
    return str(tf.dtypes.as_dtype(dtype).name)


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return f"[{','.join('?' if size is None else str(size) for size in shape)}]"

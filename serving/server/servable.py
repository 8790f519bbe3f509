"""One version of one model: loading, checking of inputs, running, warm-up."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from serving.server import pictures
from serving.server.batching import Arrays, Batcher, Batching, Slots
from serving.server.errors import ServingError, code_of, invalid

DEFAULT_SIGNATURE = "serving_default"


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
      max_pixels: pictures with more are refused before they are decoded; None for no limit.
      tags: of the graph to load; TensorFlow's default is `serve`.
      record: told of every answered request: servable, signature, inputs, outputs.
      observe_run: told of every answered request: model, and seconds with those in the queue.
      observe_batch: told of every batch: name of the thread pool, and the seconds that each of
        its requests has waited.
    """

    threads: Executor
    batching: Batching | None = None
    slots: Slots | None = None
    max_pixels: int | None = None
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
        loaded = tf.saved_model.load(str(path), tags=list(options.tags))
        self.signature_defs = _signature_defs(path, options.tags)
        # The functions hold their variables weakly.
        self._loaded = loaded
        self._functions: Mapping[str, Any] = loaded.signatures
        self.signatures: Mapping[str, Signature] = {
            name: Signature.from_proto(name, self.signature_defs[name])
            for name in sorted(loaded.signatures)
        }
        self._batcher = None
        if options.batching and options.slots:
            self._batcher = Batcher(
                options.batching, self.call, options.threads, options.slots, options.observe_batch
            )

    def signature(self, name: str) -> Signature:
        """The signature of that name, `serving_default` if it is empty.

        Raises:
          ServingError: INVALID_ARGUMENT, there is none.
        """
        found = self.signatures.get(name or DEFAULT_SIGNATURE)
        if found is None:
            raise invalid(
                f'Serving signature name: "{name or DEFAULT_SIGNATURE}" not found in signature def'
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
          ServingError: INVALID_ARGUMENT for inputs and outputs that do not fit the signature,
            UNAVAILABLE for a full queue, or what TensorFlow answered.
        """
        found = self.signature(signature)
        wanted = _wanted(found, outputs)
        self.check(found, inputs)
        began = time.perf_counter()
        if self._batcher:
            answer = await self._batcher.run(found.name, inputs)
        else:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(
                self._options.threads, self.call, found.name, inputs
            )
        self._options.observe_run(self.model, time.perf_counter() - began)
        chosen = {name: answer[name] for name in wanted}
        if self._options.record:
            self._options.record(self, found, inputs, chosen)
        return chosen

    def check(self, signature: Signature, inputs: Arrays) -> None:
        """Holds inputs against the signature.

        Raises:
          ServingError: INVALID_ARGUMENT, naming what does not fit.
        """
        _check_names(signature, inputs)
        for number, info in enumerate(signature.inputs.values()):
            array = inputs[info.name]
            if array.dtype != info.dtype:
                raise invalid(
                    f"Expects arg[{number}] to be {_type_name(info.dtype)} but "
                    f'{_type_name(array.dtype)} is provided (input "{info.name}")'
                )
            if not info.fits(array.shape):
                raise invalid(
                    f'input "{info.name}" has shape {_shape_text(array.shape)}, which does not '
                    f"fit {_shape_text(info.shape or ())} of signature {signature.name}"
                )
        if self._options.max_pixels is not None:
            pictures.check_sizes(inputs, self._options.max_pixels)

    def call(self, signature: str, inputs: Arrays) -> dict[str, np.ndarray]:
        """Runs a signature on inputs that were checked; blocks, and lets go of the GIL meanwhile.

        Raises:
          ServingError: what TensorFlow answered.
        """
        try:
            answer = self._functions[signature](
                **{name: tf.constant(array) for name, array in inputs.items()}
            )
        except tf.errors.OpError as error:
            raise ServingError(code_of(error.error_code), _essence(error.message)) from error
        return {name: tensor.numpy() for name, tensor in answer.items()}


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


def _check_names(signature: Signature, inputs: Arrays) -> None:
    """The words are those of VerifyRequestInputsSize and GetInputValues in TensorFlow Serving."""
    expected = signature.inputs
    if inputs.keys() == expected.keys():
        return
    sent, extra = sorted(inputs), sorted(inputs.keys() - expected.keys())
    missing = sorted(expected.keys() - inputs.keys())
    raise invalid(
        f"input size does not match signature: {len(inputs)}!={len(expected)} "
        f"len({{{','.join(sent)}}}) != len({{{','.join(expected)}}}). "
        f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
    )


def _type_name(dtype: np.dtype) -> str:
    return str(tf.dtypes.as_dtype(dtype).name)


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return f"[{','.join('?' if size is None else str(size) for size in shape)}]"

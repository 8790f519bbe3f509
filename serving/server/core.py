"""What both APIs call: the models, by name, and their versions."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from core.machine import available_cores
from serving.server import warmup
from serving.server.batching import Batching, Slots
from serving.server.budget import Budget
from serving.server.errors import ServingError, invalid
from serving.server.request_log import RequestLog
from serving.server.servable import RunOptions, Servable
from serving.server.versions import LoadOptions, Model, unknown_label

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CoreOptions:
    """How models are found, loaded and run; the defaults are tensorflow_model_server's.

    Attributes:
      poll_s: seconds between two looks into the base paths; 0 to look once.
      max_load_retries: times that a failed load is tried again.
      load_retry_interval_s: seconds between two tries.
      load_threads: versions loaded at a time.
      batching: how requests are joined; None if they are not.
      warm_up: whether recorded requests are answered before a version is served.
      warm_up_iterations: how often each.
      max_rows: see `RunOptions`, as for the two that follow.
      max_pixels: of a picture.
      max_request_pixels: of all pictures of a request.
      max_pixels_under_way: of all pictures that wait to be decoded; beyond, RESOURCE_EXHAUSTED.
        None for no limit.
      max_bytes_under_way: of all requests, see `Budget`; beyond, RESOURCE_EXHAUSTED. None for no
        limit.
      max_requests: under way at a time; beyond, UNAVAILABLE.
      run_timeout_s: see `RunOptions.timeout_s`.
      session: how TensorFlow computes.
      labels_unavailable: whether a new label may point at a version that is not loaded, as all do
        when the server starts.
      tags: of the graph to load.
      request_log: takes a sample of the answered requests; the core closes it.
      observe_run: see `RunOptions`.
      observe_batch: likewise.
    """

    poll_s: float = 1.0
    max_load_retries: int = 5
    load_retry_interval_s: float = 60.0
    load_threads: int = 1
    batching: Batching | None = None
    warm_up: bool = True
    warm_up_iterations: int = 1
    max_rows: int | None = None
    max_pixels: int | None = None
    max_request_pixels: int | None = None
    max_pixels_under_way: int | None = None
    max_bytes_under_way: int | None = None
    max_requests: int = 1000
    run_timeout_s: float | None = None
    session: config_pb2.ConfigProto | None = None
    labels_unavailable: bool = False
    tags: tuple[str, ...] = ("serve",)
    request_log: RequestLog | None = None
    observe_run: Callable[[str, float], None] = lambda model, seconds: None
    observe_batch: Callable[[str, Sequence[float]], None] = lambda pool, waited: None


class ServerCore:
    """The models that are served. Use it on one event loop.

    Attributes:
      budget: for all requests under way, of both APIs.

    Example:
      core = ServerCore(CoreOptions())
      await core.start(config)
      with core.acquire(spec) as servable:
          outputs = await servable.run("", {"image": images, "caption": captions})
      await core.stop()
    """

    def __init__(self, options: CoreOptions):
        self._options = options
        batching = options.batching
        self._run_threads = ThreadPoolExecutor(
            batching.threads if batching else available_cores(), "run"
        )
        self._load_threads = ThreadPoolExecutor(options.load_threads, "load")
        self.budget = Budget(options.max_bytes_under_way, options.max_pixels_under_way)
        self._run_options = RunOptions(
            threads=self._run_threads,
            batching=batching,
            slots=Slots(batching.threads) if batching else None,
            max_rows=options.max_rows,
            max_pixels=options.max_pixels,
            max_request_pixels=options.max_request_pixels,
            budget=self.budget,
            timeout_s=options.run_timeout_s,
            session=options.session,
            tags=options.tags,
            record=options.request_log.offer if options.request_log else None,
            observe_run=options.observe_run,
            observe_batch=options.observe_batch,
        )
        self._load_options = LoadOptions(
            self._load_threads, options.max_load_retries, options.load_retry_interval_s
        )
        self._models: dict[str, Model] = {}
        # Those that a reload is about to serve, and those that were served once: they have states.
        self._coming: dict[str, Model] = {}
        self._gone: dict[str, Model] = {}
        self._reloading = asyncio.Lock()
        self._polling: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._under_way = 0

    async def start(self, config: ModelServerConfig) -> None:
        """Loads the models, and from then on looks for new versions.

        Raises:
          ServingError: see `reload`.
        """
        await self.reload(config)
        if self._options.poll_s > 0:
            self._polling = asyncio.get_running_loop().create_task(self._poll())

    async def stop(self) -> None:
        """Unloads everything, after the requests under way."""
        if self._polling:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        models = [*self._models.values(), *self._coming.values()]
        await asyncio.gather(*(model.close() for model in models), *self._closing)
        self._load_threads.shutdown(wait=False, cancel_futures=True)
        self._run_threads.shutdown(wait=False, cancel_futures=True)
        if self._options.request_log:
            await asyncio.to_thread(self._options.request_log.close)

    async def reload(self, config: ModelServerConfig) -> None:
        """Serves the models of a configuration, and waits until those that are new can answer.

        Models that are no longer in it are unloaded. Where it fails, nothing has changed.

        Raises:
          ServingError: INVALID_ARGUMENT, the configuration makes no sense; FAILED_PRECONDITION, a
            label points at a version that is not loaded; UNKNOWN, a model cannot be loaded.
        """
        async with self._reloading:
            check(config)
            wanted = {model.name: model for model in config.model_config_list.config}
            labels = {name: self._labels(model) for name, model in wanted.items()}
            # What closes is loaded anew only once it is closed.
            await asyncio.gather(*self._closing)
            for name in wanted.keys() - self._models.keys():
                model = self._gone.get(name)
                if model is None:
                    model = Model(wanted[name], self._load, self._load_options)
                model.config = wanted[name]
                self._coming[name] = model
            try:
                await asyncio.gather(*(model.refresh() for model in self._coming.values()))
                await asyncio.gather(*(model.settled() for model in self._coming.values()))
                for model in self._coming.values():
                    _check_available(model)
            except BaseException:
                for model in self._coming.values():
                    self._close(model)
                self._coming.clear()
                raise
            for name in self._models.keys() - wanted.keys():
                self._gone[name] = self._models.pop(name)
                self._close(self._gone[name])
            known = list(self._models.values())
            for name, model in self._coming.items():
                self._models[name] = model
                self._gone.pop(name, None)
            self._coming.clear()
            for name, model in self._models.items():
                model.config, model.labels = wanted[name], labels[name]
            await asyncio.gather(*(model.refresh() for model in known))

    def _labels(self, config: ModelConfig) -> dict[str, int]:
        """The labels of a model that is to be served, checked."""
        model = self._models.get(config.name)
        for label, number in config.version_labels.items():
            if model and number in model.available:
                continue
            before = model.labels.get(label) if model else None
            if not self._options.labels_unavailable or before not in (None, number):
                raise ServingError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Request to assign label to version {number} of model {config.name}, "
                    "which is not currently available for inference",
                )
        return dict(config.version_labels)

    def _close(self, model: Model) -> None:
        closing = asyncio.get_running_loop().create_task(model.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    @contextlib.contextmanager
    def acquire(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """Holds the version that a request asks for, while it is under way.

        Raises:
          ServingError: NOT_FOUND, there is none; INVALID_ARGUMENT, the model has no name or the
            label is unknown; UNAVAILABLE, too many requests are under way.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        model = self._models.get(spec.name)
        number, label = _choice(spec)
        if self._under_way >= self._options.max_requests:
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE,
                f"{self._under_way:,} requests are under way, as many as this server takes",
            )
        if model is None:
            asked = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
            if label is not None:
                raise unknown_label(label)
            raise ServingError(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {asked}"
            )
        with model.acquire(number, label) as servable:
            self._under_way += 1
            try:
                yield servable
            finally:
                self._under_way -= 1

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """The states of one version or, if none is named by its number, of all.

        Raises:
          ServingError: NOT_FOUND, the model or version was never seen.
        """
        name, (number, _) = spec.name, _choice(spec)
        model = self._models.get(name) or self._coming.get(name) or self._gone.get(name)
        states = [
            state
            for state in (model.states() if model else [])
            if number is None or state.version == number
        ]
        if not states:
            which = "any versions" if number is None else f"version {number}"
            raise ServingError(
                grpc.StatusCode.NOT_FOUND, f"Could not find {which} of model {spec.name}"
            )
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=states)

    def metadata(
        self, spec: model_pb2.ModelSpec
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a version, as the SavedModel defines them.

        Raises:
          ServingError: see `acquire`.
        """
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self.acquire(spec) as servable:
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, definition in servable.signature_defs.items():
                signatures.signature_def[name].CopyFrom(definition)
            response.model_spec.name = servable.model
            response.model_spec.version.value = servable.version
            response.metadata["signature_def"].Pack(signatures)
        return response

    def model_names(self) -> list[str]:
        """The models that the configuration names."""
        return sorted(self._models)

    def _load(self, name: str, number: int, folder: Path) -> Servable:
        servable = Servable(name, number, folder, self._run_options)
        if self._options.warm_up:
            try:
                warmup.warm_up(servable, folder, self._options.warm_up_iterations)
            except BaseException:
                servable.close()
                raise
        _logger.info("loaded version %d of %s from %s", number, name, folder)
        return servable

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._options.poll_s)
            for model in list(self._models.values()):
                try:
                    await model.refresh()
                except Exception:
                    _logger.exception("looking for versions of %s", model.name)


def check(config: ModelServerConfig) -> None:
    """Refuses a configuration that makes no sense, in TensorFlow Serving's words where it has some.

    Raises:
      ServingError: INVALID_ARGUMENT.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid("Only a model_config_list is supported")
    seen = set()
    for model in config.model_config_list.config:
        if not model.name:
            raise invalid("Invalid model config: a model has no name")
        if model.name in seen:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        seen.add(model.name)
        if not os.path.isabs(model.base_path):
            raise invalid(
                "Expected model "
                f"{model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
        if model.model_platform != "tensorflow":
            raise invalid(
                f"Model {model.name} requests unsupported platform {model.model_platform}"
                if model.model_platform
                else "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                f"ModelServerConfig::model_platform, model name is {model.name}"
            )


def _check_available(model: Model) -> None:
    if model.available:
        return
    reason = (
        model.error.message if model.error else f"no version folder in {model.config.base_path}"
    )
    raise ServingError(grpc.StatusCode.UNKNOWN, f"{model.name} did not become available: {reason}")


def _choice(spec: model_pb2.ModelSpec) -> tuple[int | None, str | None]:
    """Version and label that a request names; at most one of them is set."""
    kind = spec.WhichOneof("version_choice")
    return (
        int(spec.version.value) if kind == "version" else None,
        str(spec.version_label) if kind == "version_label" else None,
    )

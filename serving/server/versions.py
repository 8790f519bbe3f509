"""The versions of one model: found by polling, loaded and warmed, unloaded when no one needs them.

After TensorFlow Serving's FileSystemStoragePathSource and AvailabilityPreservingPolicy: a version
that is no longer wanted stays until one that is wanted can answer. Where none is wanted any more,
all are unloaded; a base path that cannot be read changes nothing.

Everything here runs on the event loop; scans and loads run in threads.
"""

import asyncio
import contextlib
import gc
import logging
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus
from tensorflow_serving.config import file_system_storage_path_source_pb2 as storage_path_source
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from results.versions import number_of
from serving.server.errors import ServingError, code_of
from serving.server.servable import Servable

Load = Callable[[str, int, Path], Servable]
"""Model, version and folder to a version that was loaded and warmed; runs in a thread."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadOptions:
    """How versions are loaded.

    Attributes:
      threads: where they are loaded.
      max_retries: times that a failed load is tried again.
      retry_interval_s: seconds between two tries.
    """

    threads: Executor
    max_retries: int = 5
    retry_interval_s: float = 60.0


@dataclass
class _Version:
    number: int
    folder: Path
    identity: tuple[int, int]
    state: int = ModelVersionStatus.START
    error: ServingError | None = None
    servable: Servable | None = None
    users: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_available(self) -> bool:
        return self.state == ModelVersionStatus.AVAILABLE


class Model:
    """The versions of one model.

    Attributes:
      config: name, base path and policy.
      labels: versions by label, whether they can answer or not.
    """

    def __init__(self, config: ModelConfig, load: Load, options: LoadOptions):
        """Knows no version yet; `load` makes a `Servable`."""
        self.config = config
        self.labels: Mapping[str, int] = {}
        self._load = load
        self._options = options
        self._versions: dict[int, _Version] = {}
        self._wanted: frozenset[int] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._told: set[str] = set()

    @property
    def name(self) -> str:
        """As clients write it."""
        return str(self.config.name)

    async def refresh(self) -> None:
        """Looks into the base path, and starts to load and unload what that asks for."""
        try:
            found = await asyncio.to_thread(self._scan)
        except OSError as error:
            self._notify(f"cannot list the versions of {self.name}: {error}")
            return
        wanted = _choose(self.config.model_version_policy, found)
        before, self._wanted = self._wanted, frozenset(wanted)
        for number in sorted(wanted, reverse=True):
            folder, identity = found[number]
            known = self._versions.get(number)
            if known is None or (
                known.state == ModelVersionStatus.END
                # A version that could not be loaded is tried anew when it is put there anew.
                and (known.error is None or number not in before or known.identity != identity)
            ):
                version = self._versions[number] = _Version(number, folder, identity)
                self._start(self._bring_up(version))
        self._settle()

    async def close(self) -> None:
        """Unloads everything, waiting for the requests under way."""
        self._wanted = frozenset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for version in self._available():
            self._start(self._take_down(version))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Waits until every version that is wanted can answer or was given up."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: all(
                    self._versions[number].is_available
                    or self._versions[number].state == ModelVersionStatus.END
                    for number in self._wanted
                )
            )

    @contextlib.contextmanager
    def acquire(self, number: int | None = None, label: str | None = None) -> Iterator[Servable]:
        """Holds a version for a request: the latest that can answer, if none is named.

        Raises:
          ServingError: NOT_FOUND, there is no such version; INVALID_ARGUMENT, no such label.
        """
        if label is not None:
            number = self.labels.get(label)
            if number is None:
                raise unknown_label(label)
        available = self._available()
        version = next((v for v in available if number in (None, v.number)), None)
        if version is None or version.servable is None:
            asked = f"Latest({self.name})" if number is None else f"Specific({self.name}, {number})"
            raise ServingError(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {asked}"
            )
        version.users += 1
        try:
            yield version.servable
        finally:
            version.users -= 1
            if not version.users:
                version.unused.set()

    def states(self) -> list[ModelVersionStatus]:
        """What GetModelStatus says, newest version first."""
        told = []
        for number in sorted(self._versions, reverse=True):
            version = self._versions[number]
            status = ModelVersionStatus(version=number, state=version.state)
            if version.error:
                status.status.error_code = version.error.code.value[0]
                status.status.error_message = version.error.message
            else:
                status.status.SetInParent()
            told.append(status)
        return told

    @property
    def error(self) -> ServingError | None:
        """Why the newest version that is wanted cannot answer, if it was given up."""
        for number in sorted(self._wanted, reverse=True):
            if error := self._versions[number].error:
                return error
        return None

    @property
    def available(self) -> list[int]:
        """The versions that can answer, newest first."""
        return [version.number for version in self._available()]

    def _available(self) -> list[_Version]:
        """Newest first."""
        found = [version for version in self._versions.values() if version.is_available]
        return sorted(found, key=lambda version: -version.number)

    def _scan(self) -> dict[int, tuple[Path, tuple[int, int]]]:
        """Version to folder and what tells it from another one of that name."""
        found = {}
        with os.scandir(self.config.base_path) as entries:
            # Of "1" and "01", the former.
            for entry in sorted(entries, key=lambda entry: entry.name):
                number = number_of(entry.name)
                if number is None:
                    self._notify(f"{entry.path}: not a number, so not a version of {self.name}")
                    continue
                # It may be renamed away at any moment.
                with contextlib.suppress(OSError):
                    if entry.is_dir():
                        stat = entry.stat()
                        identity = stat.st_ino, stat.st_mtime_ns
                        found[number] = Path(entry.path), identity
        return found

    def _notify(self, text: str) -> None:
        """Logs something once, however often it is polled."""
        if text not in self._told:
            self._told.add(text)
            _logger.warning(text)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bring_up(self, version: _Version) -> None:
        loop = asyncio.get_running_loop()
        await self._enter(version, ModelVersionStatus.LOADING)
        for tries_left in range(self._options.max_retries, -1, -1):
            try:
                version.servable = await loop.run_in_executor(
                    self._options.threads, self._load, self.name, version.number, version.folder
                )
            except Exception as error:
                version.error = _as_serving_error(error)
                _logger.warning(
                    "version %d of %s cannot be loaded: %s",
                    version.number,
                    self.name,
                    version.error.message,
                )
            else:
                version.error = None
                await self._enter(version, ModelVersionStatus.AVAILABLE)
                break
            if not tries_left or version.number not in self._wanted:
                await self._enter(version, ModelVersionStatus.END)
                break
            await asyncio.sleep(self._options.retry_interval_s)
        self._settle()

    def _settle(self) -> None:
        """Unloads what is not wanted, if something that is can answer, or nothing is wanted."""
        available = self._available()
        if self._wanted and not any(version.number in self._wanted for version in available):
            # The newest stays until another can replace it.
            available = available[1:]
        for version in available:
            if version.number not in self._wanted:
                version.state = ModelVersionStatus.UNLOADING
                self._start(self._take_down(version))

    async def _take_down(self, version: _Version) -> None:
        await self._enter(version, ModelVersionStatus.UNLOADING)
        while version.users:
            version.unused.clear()
            await version.unused.wait()
        loop = asyncio.get_running_loop()
        if version.servable:
            await loop.run_in_executor(self._options.threads, version.servable.close)
        version.servable = None
        # Graphs refer to themselves in circles.
        await loop.run_in_executor(self._options.threads, gc.collect)
        await self._enter(version, ModelVersionStatus.END)

    async def _enter(self, version: _Version, state: int) -> None:
        version.state = state
        async with self._changed:
            self._changed.notify_all()


def unknown_label(label: str) -> ServingError:
    """What is answered to who asks for a label that points at no version."""
    return ServingError(
        grpc.StatusCode.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}"
    )


def _choose(
    policy: storage_path_source.FileSystemStoragePathSourceConfig.ServableVersionPolicy,
    found: dict[int, tuple[Path, tuple[int, int]]],
) -> set[int]:
    """The versions that a policy asks for, of those that are there."""
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return set(found)
    if kind == "specific":
        return set(found) & set(policy.specific.versions)
    return set(sorted(found, reverse=True)[: max(policy.latest.num_versions, 1)])


def _as_serving_error(error: Exception) -> ServingError:
    if isinstance(error, ServingError):
        return error
    number = getattr(error, "error_code", grpc.StatusCode.UNKNOWN.value[0])
    return ServingError(code_of(number), " ".join(str(error).split()))

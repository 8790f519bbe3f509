"""What every engine has in common."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GRPC_PORT, REST_PORT = 8500, 8501


@dataclass(frozen=True)
class Options:
    """What to serve, and how; the same for every engine.

    Attributes:
      model_name: as clients write it.
      base_path: folder that holds the versions.
      host: address to listen on; the binary listens on all, whatever this says.
      grpc_port: 0 means one that is free, which is found before the server starts.
      rest_port: likewise.
      models_config: a models.config to use instead of name and base path; its base paths must be
        those that the engine sees (in the container: `/models/<model_name>`).
      batching_config: requests are joined as it says; None if they are not to be joined.
      monitoring_config: says where metrics are shown; None if they are not.
      ssl_config: key and certificate for gRPC; None if it is not encrypted. REST never is.
      poll_seconds: between two looks for new versions; TensorFlow Serving takes whole seconds.
      cors: whether pages of other origins may ask over REST.
      request_log: where sampled requests are written; None if they are not. For engines that
        `logs_requests`.
      request_log_sampling: share of the requests that are written.
    """

    model_name: str
    base_path: Path | None = None
    host: str = "127.0.0.1"
    grpc_port: int = GRPC_PORT
    rest_port: int = REST_PORT
    models_config: Path | None = None
    batching_config: Path | None = None
    monitoring_config: Path | None = None
    ssl_config: Path | None = None
    poll_seconds: float = 1.0
    cors: bool = False
    request_log: Path | None = None
    request_log_sampling: float = 0.01

    @property
    def files(self) -> tuple[Path, ...]:
        """All that the server reads beside the versions."""
        files = (
            self.models_config,
            self.batching_config,
            self.monitoring_config,
            self.ssl_config,
        )
        return tuple(file for file in files if file)


class Engine(abc.ABC):
    """A model server.

    Attributes:
      name: as `--engine` takes it.
      is_local: whether it sees this machine's paths.
      heeds_host: whether it listens on `Options.host` only.
      logs_requests: whether it writes `Options.request_log`.
    """

    name: str
    is_local = True
    heeds_host = True
    logs_requests = False

    @abc.abstractmethod
    def missing(self) -> str | None:
        """Why it cannot run here, in one line that says what to do; None if it can."""

    @abc.abstractmethod
    def command(self, options: Options) -> list[str]:
        """The command line, which runs in the foreground until SIGTERM."""

    def environment(self) -> Mapping[str, str]:
        """Variables that the command needs beyond those of this process."""
        return {}


def server_flags(
    options: Options, *, models: Path | None, base_path: Path | None, configs: Path | None = None
) -> list[str]:
    """The flags of tensorflow_model_server that say what `options` says, but for the ports.

    Args:
      models: where the engine sees models.config.
      base_path: where the engine sees the versions.
      configs: folder in which the engine sees the other files; None if where they are.
    """

    def seen(path: Path) -> Path:
        return configs / path.name if configs else path.resolve()

    flags = []
    if models:
        flags.append(f"--model_config_file={models}")
        # Else a file with labels stops the server: no version is loaded when it is read.
        flags.append("--allow_version_labels_for_unavailable_models=true")
    else:
        flags += [f"--model_name={options.model_name}", f"--model_base_path={base_path}"]
    if options.batching_config:
        flags.append("--enable_batching=true")
        flags.append(f"--batching_parameters_file={seen(options.batching_config)}")
    if options.monitoring_config:
        flags.append(f"--monitoring_config_file={seen(options.monitoring_config)}")
    if options.ssl_config:
        flags.append(f"--ssl_config_file={seen(options.ssl_config)}")
    if options.cors:
        flags.append("--rest_api_enable_cors_support=true")
    return flags


def whole_seconds(seconds: float) -> int:
    """What TensorFlow Serving's flag takes; 0 would mean to look once."""
    return max(round(seconds), 1) if seconds else 0

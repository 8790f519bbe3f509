"""The files that a model server reads, written as text protos: one source for every engine."""

import os
import ssl
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from core.errors import DexmatchError
from serving.protos import BatchingParameters, MonitoringConfig, SSLConfig

MODELS, BATCHING, MONITORING = "models.config", "batching.config", "monitoring.config"
"""Names of the files beside the pushed models."""
PROMETHEUS_PATH = "/monitoring/prometheus/metrics"
"""Where TensorFlow Serving shows its metrics if the file names no path."""

_Proto = TypeVar("_Proto", bound=Message)


def read_models(path: Path) -> ModelServerConfig:
    """The models to serve.

    Raises:
      DexmatchError: the file cannot be read, naming the line.
    """
    return _read(path, ModelServerConfig())


def read_batching(path: Path) -> Any:
    """The BatchingParameters, checked as TensorFlow Serving does.

    Raises:
      DexmatchError: the file cannot be read or its values do not fit together.
    """
    found: Any = _read(path, BatchingParameters())
    for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
        if found.HasField(name) and getattr(found, name).value < 1:
            raise DexmatchError(f"{path}: {name} must be at least 1")
    if found.batch_timeout_micros.value < 0:
        raise DexmatchError(f"{path}: batch_timeout_micros must not be negative")
    sizes = list(found.allowed_batch_sizes)
    if sizes != sorted(set(sizes)) or (sizes and sizes[0] < 1):
        raise DexmatchError(f"{path}: allowed_batch_sizes must be positive and increasing")
    if sizes and sizes[-1] != max_batch_size(found):
        raise DexmatchError(
            f"{path}: the last of allowed_batch_sizes must equal max_batch_size, "
            f"{max_batch_size(found)}"
        )
    return found


def read_monitoring(path: Path) -> str | None:
    """The path that shows metrics to Prometheus; None if none does.

    Raises:
      DexmatchError: the file cannot be read.
    """
    found: Any = _read(path, MonitoringConfig())
    if not found.prometheus_config.enable:
        return None
    return found.prometheus_config.path or PROMETHEUS_PATH


def read_ssl(path: Path) -> Any:
    """The SSLConfig, checked: gRPC itself says no more than that it cannot listen.

    Raises:
      DexmatchError: the file cannot be read, or what is in it is no key with its certificate.
    """
    found: Any = _read(path, SSLConfig())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as pair:
        pair.write(f"{found.server_key}\n{found.server_cert}\n")
        pair.flush()
        try:
            # An encrypted key would have Python ask for its password.
            context.load_cert_chain(pair.name, password="")
        except ssl.SSLError as error:
            raise DexmatchError(
                f"{path}: server_key and server_cert must be a key and its certificate, in PEM "
                f"({error.reason or 'none found'})"
            ) from error
    if found.client_verify and not found.custom_ca:
        raise DexmatchError(
            f"{path}: client_verify needs custom_ca, which clients are held against"
        )
    if found.custom_ca:
        try:
            context.load_verify_locations(cadata=found.custom_ca)
        except ssl.SSLError as error:
            raise DexmatchError(f"{path}: custom_ca holds no certificate in PEM") from error
    return found


def max_batch_size(parameters: Any) -> int:
    """Rows in a batch at most; TensorFlow Serving's default is 1,000."""
    return int(parameters.max_batch_size.value) if parameters.HasField("max_batch_size") else 1000


def batch_sizes(path: Path) -> tuple[int, ...]:
    """The sizes that batches are run with, such as to warm a model up for.

    Powers of two, and the largest size, where any size is allowed.

    Raises:
      DexmatchError: see `read_batching`.
    """
    parameters = read_batching(path)
    largest = max_batch_size(parameters)
    powers = (1 << power for power in range((largest - 1).bit_length()))
    return tuple(parameters.allowed_batch_sizes) or (*powers, largest)


def pinned_versions(path: Path, name: str) -> tuple[int, ...]:
    """The versions of a model that a configuration names: served, or behind a label.

    Raises:
      DexmatchError: the file cannot be read, naming the line.
    """
    entries = read_models(path).model_config_list.config
    named = [entry for entry in entries if entry.name == name]
    specific = {each for entry in named for each in entry.model_version_policy.specific.versions}
    labelled = {each for entry in named for each in entry.version_labels.values()}
    return tuple(sorted(specific | labelled))


def one_model(
    name: str, base_path: str | os.PathLike[str], like: Path | None = None
) -> ModelServerConfig:
    """The configuration of one model.

    Args:
      like: a models.config; the model's policy and labels are taken from there if it names it.

    Raises:
      DexmatchError: `like` cannot be read.
    """
    config = ModelServerConfig()
    entry = config.model_config_list.config.add(name=name, model_platform="tensorflow")
    if like:
        for known in read_models(like).model_config_list.config:
            if known.name == name:
                entry.CopyFrom(known)
    entry.base_path = os.path.abspath(base_path)
    return config


def write(config: Message, path: Path) -> None:
    """Writes a text proto."""
    path.write_text(text_format.MessageToString(config), encoding="utf-8")


def _read(path: Path, into: _Proto) -> _Proto:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), into)
    except text_format.ParseError as error:
        reason = str(error).split(" : ", 1)[-1]
        raise DexmatchError(f"{path}, line {error.GetLine()}: {reason}") from error
    except UnicodeDecodeError as error:
        raise DexmatchError(f"{path}: no text") from error
    except OSError as error:
        raise DexmatchError(f"{path}: {error.strerror}") from error

"""A model server as a child process."""

import contextlib
import dataclasses
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from core.database_url import PASSWORD_VARIABLE
from core.errors import DexmatchError
from serving import files
from serving.engines.engine import Engine, Options

POLL_S = 0.1
STOP_S = 60.0
"""Seconds that a server has to drain, before it is killed."""
_SHOWN_LINES = 5
_CHATTER = re.compile(
    r"[IW]\d{4} |E0000 .*(?:cuda|oneDNN)|WARNING: All log messages before absl|"
    r"\d{4}-\d\d-\d\d .*: [IW] "
)
"""What TensorFlow says of itself at its start."""


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
      rest_url: such as `http://127.0.0.1:8501`.
      grpc_address: such as `127.0.0.1:8500`.
      pid: of the process that was started; of the docker client, for that engine.
      said: the last lines that it wrote, without TensorFlow's chatter.
    """

    rest_url: str
    grpc_address: str
    pid: int
    process: "subprocess.Popen[str]"
    said: deque[str]

    def last_lines(self) -> str:
        """What it said, as one line."""
        return " | ".join(self.said) or "it said nothing"


@contextlib.contextmanager
def started(
    engine: Engine, options: Options, echo: Callable[[str], None] | None = None
) -> Iterator[Running]:
    """Starts a server, and stops it at the end; does not wait until it answers.

    Args:
      echo: is told every line that it writes, without TensorFlow's chatter.

    Raises:
      DexmatchError: a port is taken or a file is broken.
    """
    with tempfile.TemporaryDirectory(prefix="dexmatch-serving-") as scratch:
        options = _localised(engine, _with_ports(options), Path(scratch))
        process = subprocess.Popen(
            engine.command(options),
            # It ends with this process, even one that is killed: the embedded engine watches it.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**_own_environment(), **engine.environment()},
            # Ctrl-C is for us to pass on, once.
            start_new_session=True,
        )
        said: deque[str] = deque(maxlen=_SHOWN_LINES)
        reader = threading.Thread(target=_read, args=(process, said, echo), daemon=True)
        reader.start()
        try:
            yield Running(
                rest_url=f"http://{_reachable(options.host)}:{options.rest_port}",
                grpc_address=f"{_reachable(options.host)}:{options.grpc_port}",
                pid=process.pid,
                process=process,
                said=said,
            )
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join()
            if process.stdin:
                process.stdin.close()


@contextlib.contextmanager
def running(engine: Engine, options: Options, timeout_s: float = 120) -> Iterator[Running]:
    """Starts a server, and waits until the model is AVAILABLE over REST and gRPC.

    Args:
      timeout_s: seconds that it has for that.

    Raises:
      DexmatchError: it ended or did not answer in time; with the last lines that it said.
    """
    with started(engine, options) as server:
        wait_until_available(engine, server, options.model_name, timeout_s)
        yield server


def wait_until_available(engine: Engine, server: Running, model: str, timeout_s: float) -> None:
    """Waits for both APIs.

    Raises:
      DexmatchError: see `running`.
    """
    deadline = time.monotonic() + timeout_s
    with httpx.Client(timeout=5, trust_env=False) as client:
        while time.monotonic() < deadline:
            if server.process.poll() is not None:
                time.sleep(POLL_S)  # For its last words to be read.
                raise DexmatchError(f"{engine.name} cannot serve {model}: {server.last_lines()}")
            if _is_available(server, model, client):
                return
            time.sleep(POLL_S)
    raise DexmatchError(
        f"{engine.name} does not answer for {model} after {timeout_s:g} s: {server.last_lines()}"
    )


def _read(
    process: "subprocess.Popen[str]", said: deque[str], echo: Callable[[str], None] | None
) -> None:
    for line in process.stdout or ():
        if line.strip() and not _CHATTER.match(line):
            said.append(line.strip())
            if echo:
                echo(line.rstrip())


def _reachable(host: str) -> str:
    """An address for clients on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _is_available(server: Running, model: str, client: httpx.Client) -> bool:
    try:
        response = client.get(f"{server.rest_url}/v1/models/{model}")
        states = response.json().get("model_version_status", [])
    except (httpx.HTTPError, ValueError):
        return False
    if not any(version["state"] == "AVAILABLE" for version in states):
        return False
    # Every engine starts gRPC before REST; asking it something would take its certificate.
    host, _, port = server.grpc_address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def _with_ports(options: Options) -> Options:
    """Free ports in the place of zeros; ports that are taken are told at once."""
    with contextlib.ExitStack() as held:
        ports = []
        for port, flag in ((options.grpc_port, "--port"), (options.rest_port, "--rest-port")):
            family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
            try:
                bound = socket.create_server((options.host, port), family=family)
            except OSError as error:
                # Python adds to the system's words what it was doing.
                reason = (error.strerror or str(error)).split(" (while")[0]
                raise DexmatchError(
                    f"cannot listen on {options.host}:{port}: {reason}; choose another by {flag} "
                    "or --host"
                ) from error
            ports.append(held.enter_context(bound).getsockname()[1])
    return dataclasses.replace(options, grpc_port=ports[0], rest_port=ports[1])


def _own_environment() -> dict[str, str]:
    """That of this process, but for what no model server needs to know."""
    return {name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE}


def _localised(engine: Engine, options: Options, folder: Path) -> Options:
    """A models.config is written for the container; others see the versions elsewhere."""
    if not (engine.is_local and options.models_config and options.base_path):
        return options
    config = files.one_model(options.model_name, options.base_path, like=options.models_config)
    files.write(config, folder / files.MODELS)
    return dataclasses.replace(options, models_config=folder / files.MODELS)

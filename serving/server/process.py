"""The embedded engine's process: one event loop that serves gRPC and REST until SIGTERM.

    python -m serving.server.process --model_name=dexmatch --model_base_path=serving_model/dexmatch

It drains at SIGTERM and SIGINT: it stops accepting, answers what is under way, and exits with 0.
"""

import argparse
import asyncio
import dataclasses
import logging
import os
import resource
import signal
import sys
from pathlib import Path

# Before TensorFlow is loaded.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import grpc
import tensorflow as tf
import uvloop
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from core import garbage
from core.errors import DexmatchError
from core.machine import available_cores
from serving import files
from serving.server import flags as command_line
from serving.server import grpc_api, http, log, rest
from serving.server.batching import Batching
from serving.server.core import ServerCore
from serving.server.errors import ServingError
from serving.server.health import NOT_SERVING, SERVING, Health
from serving.server.metrics import Metrics

_OPEN_FILES = 16_384

_logger = logging.getLogger(__name__)


def main() -> None:
    """Runs until a signal; exits with 2 on a mistake of whoever started it."""
    garbage.spare_libraries()
    flags = command_line.parse()
    log.configure()
    for name in command_line.without_effect(flags):
        _logger.warning("%s has no effect in the embedded engine", name)
    # It warns of every request that is no HTTP, which would let anyone fill the log.
    logging.getLogger("uvicorn.error").setLevel("ERROR")
    # Its warnings about how a model was saved are not for those who serve it.
    tf.get_logger().setLevel("ERROR")
    _allow_connections()
    try:
        uvloop.run(serve(flags))
    except (DexmatchError, ServingError) as error:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)


async def serve(flags: argparse.Namespace) -> None:
    """Serves until a signal, and drains.

    Raises:
      DexmatchError: a file is broken or a port is taken.
      ServingError: a model cannot be loaded.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if flags.stop_with_stdin:
        await loop.connect_read_pipe(lambda: _UntilEnd(stopped), sys.stdin)
    metrics = Metrics(lambda: core.model_names())
    options = command_line.core_options(flags)
    options = dataclasses.replace(
        options,
        observe_run=metrics.observe_run,
        observe_batch=metrics.observe_batch,
        session=_session(flags, options.batching),
    )
    core = ServerCore(options)
    if options.request_log:
        options.request_log.start(metrics.observe_log)
    health = Health() if flags.enable_grpc_healthcheck_service else None
    rpc = grpc_api.create_server(
        core, metrics, flags.max_body_bytes, health, flags.grpc_channel_arguments
    )
    monitoring = flags.monitoring_config_file
    app = rest.create_app(
        core,
        rest.RestSettings(
            cors=flags.rest_api_enable_cors_support,
            monitoring_path=files.read_monitoring(monitoring) if monitoring else None,
            max_body_bytes=flags.max_body_bytes,
            timeout_ms=flags.rest_api_timeout_in_ms,
        ),
        metrics,
    )
    web = http.create_server(app, flags.drain_seconds)
    # A port that is taken should be known before minutes of loading.
    listener = http.listen(flags.host, flags.rest_api_port) if flags.rest_api_port else None
    credentials = _credentials(flags.ssl_config_file)
    if flags.port:
        _add_port(rpc, f"{_bracketed(flags.host)}:{flags.port}", credentials)
    if flags.grpc_socket_path:
        _add_port(rpc, f"unix:{flags.grpc_socket_path}", credentials)
    starting = loop.create_task(core.start(command_line.models(flags)))
    await _first(starting, stopped)
    if stopped.is_set():
        starting.cancel()
        if listener:
            listener.close()
        await core.stop()
        return
    await starting
    await rpc.start()
    serving = loop.create_task(web.serve(sockets=[listener])) if listener else None
    if health:
        await health.set(SERVING)
    reloading = loop.create_task(_reload(core, flags))
    if serving:
        await _first(serving, stopped)
    else:
        await stopped.wait()
    reloading.cancel()
    if health:
        await health.set(NOT_SERVING)
    web.should_exit = True
    await asyncio.gather(rpc.stop(flags.drain_seconds), *([serving] if serving else ()))
    await core.stop()


def _allow_connections() -> None:
    """Lets this process have more connections open than a shell commonly does, if it may."""
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard
    if most == resource.RLIM_INFINITY or most > _OPEN_FILES:
        most = _OPEN_FILES
    if limit != resource.RLIM_INFINITY and limit < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _session(flags: argparse.Namespace, batching: Batching | None) -> config_pb2.ConfigProto:
    """How TensorFlow computes.

    Batches that run at a time share out the cores, unless the flags say otherwise: where each is
    spread over all of them, they wait for each other.
    """
    within, over = command_line.threads(flags)
    if not within and batching:
        within = max(1, available_cores() // batching.threads)
    config = config_pb2.ConfigProto(
        intra_op_parallelism_threads=within, inter_op_parallelism_threads=over
    )
    if flags.mixed_precision == command_line.BFLOAT16:
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = (
            rewriter_config_pb2.RewriterConfig.ON
        )
    return config


class _UntilEnd(asyncio.Protocol):
    """Sets an event at the end of a pipe."""

    def __init__(self, event: asyncio.Event):
        self._event = event

    def connection_lost(self, exc: Exception | None) -> None:
        self._event.set()


async def _first(task: asyncio.Task[None], event: asyncio.Event) -> None:
    """Waits for one of the two."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _reload(core: ServerCore, flags: argparse.Namespace) -> None:
    """Re-reads the model configuration file, if that is asked for."""
    if not flags.model_config_file or not flags.model_config_file_poll_wait_seconds:
        return
    current, told = command_line.models(flags), ""
    while True:
        await asyncio.sleep(flags.model_config_file_poll_wait_seconds)
        try:
            found = command_line.models(flags)
            if found != current:
                await core.reload(found)
                current, told = found, ""
        except (DexmatchError, ServingError) as error:
            # It is tried again at each poll, as the real server does, and told once.
            if str(error) != told:
                told = str(error)
                _logger.error("the models stay as they are: %s", error)


def _credentials(ssl_config: Path | None) -> grpc.ServerCredentials | None:
    """What gRPC is encrypted with; None if it is not."""
    if not ssl_config:
        return None
    found = files.read_ssl(ssl_config)
    return grpc.ssl_server_credentials(
        [(found.server_key.encode(), found.server_cert.encode())],
        root_certificates=found.custom_ca.encode() or None,
        require_client_auth=found.client_verify,
    )


def _add_port(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None
) -> None:
    try:
        if credentials:
            server.add_secure_port(address, credentials)
        else:
            server.add_insecure_port(address)
    except RuntimeError as error:
        raise DexmatchError(f"cannot listen on {address}: it is taken") from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    main()

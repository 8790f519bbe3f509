"""The embedded engine's command line: tensorflow_model_server's flags, and a few of its own."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from core.errors import DexmatchError
from core.limits import MAX_PIXELS
from core.machine import available_cores
from serving import files
from serving.server import request_log
from serving.server.batching import Batching
from serving.server.core import CoreOptions

MAX_BODY_BYTES = 64 << 20
MAX_BYTES_UNDER_WAY = 512 << 20
MAX_ROWS = 256
MAX_REQUEST_PIXELS = 4 * MAX_PIXELS
MAX_PIXELS_UNDER_WAY = 10 * MAX_PIXELS
MAX_REQUESTS = 1000
DRAIN_SECONDS = 30
BFLOAT16 = "bfloat16"
"""The one mode of `--mixed_precision`."""

_WITHOUT_EFFECT = (
    "enable_profiler",
    "grpc_max_threads",
    "num_unload_threads",
    "rest_api_num_threads",
)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags, of `sys.argv` if none are given; exits with 2 if they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.server.process",
        description="The embedded model server: for development, tests and CI.",
        allow_abbrev=False,
    )
    same = parser.add_argument_group("as in tensorflow_model_server")
    same.add_argument("--model_name", default="default", metavar="NAME")
    same.add_argument("--model_base_path", type=Path, metavar="FOLDER", help="holds the versions")
    same.add_argument(
        "--model_config_file", type=Path, metavar="FILE", help="instead of the two above"
    )
    same.add_argument(
        "--allow_version_labels_for_unavailable_models",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        help="labels may point at versions that are not loaded, as all do when the server starts",
    )
    same.add_argument("--model_config_file_poll_wait_seconds", type=_not_negative, default=0)
    same.add_argument("--file_system_poll_wait_seconds", type=_not_negative, default=1)
    same.add_argument("--max_num_load_retries", type=int, default=5)
    same.add_argument("--load_retry_interval_micros", type=int, default=60_000_000)
    same.add_argument("--num_load_threads", type=int, default=0)
    same.add_argument("--enable_model_warmup", type=_boolean, nargs="?", const=True, default=True)
    same.add_argument("--num_request_iterations_for_warmup", type=int, default=1)
    same.add_argument("--saved_model_tags", default="serve", help="separated by commas")
    same.add_argument("--port", type=_port, default=8500, help="for gRPC; 0 for none")
    same.add_argument("--grpc_socket_path", metavar="FILE", help="listens there for gRPC, too")
    same.add_argument(
        "--enable_grpc_healthcheck_service", type=_boolean, nargs="?", const=True, default=False
    )
    same.add_argument("--rest_api_port", type=_port, default=8501, help="for REST; 0 for none")
    same.add_argument("--rest_api_timeout_in_ms", type=int, default=30_000)
    same.add_argument(
        "--rest_api_enable_cors_support", type=_boolean, nargs="?", const=True, default=False
    )
    same.add_argument("--enable_batching", type=_boolean, nargs="?", const=True, default=False)
    same.add_argument("--batching_parameters_file", type=Path, metavar="FILE")
    same.add_argument("--monitoring_config_file", type=Path, metavar="FILE")
    same.add_argument(
        "--ssl_config_file", type=Path, metavar="FILE", help="encrypts gRPC; REST is never"
    )
    same.add_argument(
        "--grpc_channel_arguments", type=_channel_arguments, default=(), metavar="NAME=VALUE,..."
    )
    same.add_argument(
        "--tensorflow_session_parallelism", type=int, default=0, help="for both that follow"
    )
    same.add_argument("--tensorflow_intra_op_parallelism", type=int, default=0)
    same.add_argument("--tensorflow_inter_op_parallelism", type=int, default=0)
    same.add_argument("--mixed_precision", choices=("", BFLOAT16), default="")
    idle = parser.add_argument_group(
        "as in tensorflow_model_server, and without effect here: one loop does all but TensorFlow"
    )
    for name in _WITHOUT_EFFECT:
        idle.add_argument(f"--{name}", nargs="?", const="true", metavar="VALUE")
    own = parser.add_argument_group("of its own")
    own.add_argument("--host", default="127.0.0.1", help="address to listen on")
    own.add_argument("--max_body_bytes", type=int, default=MAX_BODY_BYTES, help="of a request")
    own.add_argument(
        "--max_bytes_under_way",
        type=int,
        default=MAX_BYTES_UNDER_WAY,
        help="of all requests that are being read or answered",
    )
    own.add_argument(
        "--max_rows",
        type=int,
        default=MAX_ROWS,
        help="pictures or texts in a request that is not joined with others, and 16 times as many "
        "rows of numbers",
    )
    own.add_argument("--max_pixels", type=int, default=MAX_PIXELS, help="of a picture")
    own.add_argument(
        "--max_request_pixels", type=int, default=MAX_REQUEST_PIXELS, help="of all its pictures"
    )
    own.add_argument(
        "--max_pixels_under_way",
        type=int,
        default=MAX_PIXELS_UNDER_WAY,
        help="of the pictures of all requests that are being answered",
    )
    own.add_argument("--max_requests", type=int, default=MAX_REQUESTS, help="under way at a time")
    own.add_argument(
        "--request_log_file",
        type=Path,
        metavar="FILE",
        help="writes requests with their answers there, as TFRecord of PredictionLog",
    )
    own.add_argument(
        "--request_log_sampling_rate", type=_share, default=0.01, help="share of them, up to 1"
    )
    own.add_argument(
        "--request_log_max_bytes",
        type=int,
        default=request_log.MAX_BYTES,
        help=f"of the file, after which the next begins; {request_log.KEPT_FILES} older are kept",
    )
    own.add_argument(
        "--drain_seconds",
        type=int,
        default=DRAIN_SECONDS,
        help="given to the requests under way after SIGTERM",
    )
    own.add_argument(
        "--stop_with_stdin",
        type=_boolean,
        nargs="?",
        const=True,
        default=False,
        help="stop when standard input ends, as it does when whoever started this is gone",
    )
    flags = parser.parse_args(arguments)
    if not flags.port and not flags.grpc_socket_path:
        parser.error("one of --port and --grpc_socket_path must be set")
    if flags.port and flags.port == flags.rest_api_port:
        parser.error("--rest_api_port must be another than --port")
    return flags


def without_effect(flags: argparse.Namespace) -> list[str]:
    """Those that were given, and do nothing here."""
    return [f"--{name}" for name in _WITHOUT_EFFECT if getattr(flags, name) is not None]


def threads(flags: argparse.Namespace) -> tuple[int, int]:
    """TensorFlow's threads within an op, and over ops; 0 for as many as it likes."""
    both = flags.tensorflow_session_parallelism
    return (
        flags.tensorflow_intra_op_parallelism or both,
        flags.tensorflow_inter_op_parallelism or both,
    )


def core_options(flags: argparse.Namespace) -> CoreOptions:
    """How the core is to work.

    Raises:
      DexmatchError: the file with the batching parameters is broken or has no use, or the log of
        requests cannot be written.
    """
    return CoreOptions(
        poll_s=flags.file_system_poll_wait_seconds,
        max_load_retries=flags.max_num_load_retries,
        load_retry_interval_s=flags.load_retry_interval_micros / 1e6,
        load_threads=max(flags.num_load_threads, 1),
        batching=_batching(flags),
        warm_up=flags.enable_model_warmup,
        warm_up_iterations=flags.num_request_iterations_for_warmup,
        max_rows=flags.max_rows,
        max_pixels=flags.max_pixels,
        max_request_pixels=flags.max_request_pixels,
        max_pixels_under_way=flags.max_pixels_under_way,
        max_bytes_under_way=flags.max_bytes_under_way,
        max_requests=flags.max_requests,
        run_timeout_s=flags.rest_api_timeout_in_ms / 1000 or None,
        labels_unavailable=flags.allow_version_labels_for_unavailable_models,
        tags=tuple(flags.saved_model_tags.split(",")),
        request_log=_request_log(flags),
    )


def _request_log(flags: argparse.Namespace) -> request_log.RequestLog | None:
    if not flags.request_log_file:
        return None
    return request_log.RequestLog(
        flags.request_log_file, flags.request_log_sampling_rate, flags.request_log_max_bytes
    )


def _batching(flags: argparse.Namespace) -> Batching | None:
    path: Path | None = flags.batching_parameters_file
    if not flags.enable_batching:
        if path:
            raise DexmatchError("--batching_parameters_file is of no use without --enable_batching")
        return None
    found = files.read_batching(path) if path else files.BatchingParameters()

    # TensorFlow Serving's own names.
    pool = "batch_threads" if path else "model_server_batch_threads"

    def value(name: str, default: int) -> int:
        return int(getattr(found, name).value) if found.HasField(name) else default

    return Batching(
        max_batch_size=files.max_batch_size(found),
        timeout_s=value("batch_timeout_micros", 0) / 1e6,
        max_enqueued_batches=value("max_enqueued_batches", 10),
        threads=value("num_batch_threads", available_cores()),
        allowed_sizes=tuple(found.allowed_batch_sizes),
        pad_inputs=found.pad_variable_length_inputs,
        thread_pool_name=found.thread_pool_name.value or pool,
    )


def models(flags: argparse.Namespace) -> files.ModelServerConfig:
    """The models that the flags name.

    Raises:
      DexmatchError: they name none, or the file is broken.
    """
    if flags.model_config_file:
        return files.read_models(flags.model_config_file)
    if not flags.model_base_path:
        raise DexmatchError("name what to serve: --model_base_path or --model_config_file")
    return files.one_model(flags.model_name, flags.model_base_path)


def _boolean(text: str) -> bool:
    """As TensorFlow's flags: `--flag`, `--flag=true`, `--flag=false`."""
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return values[text.lower()]


def _channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    """As TensorFlow Serving reads them: a value that is a number is passed on as one."""
    made: list[tuple[str, int | str]] = []
    for argument in text.split(",") if text else ():
        name, equals, value = argument.partition("=")
        if not name or not equals:
            raise argparse.ArgumentTypeError(f"{argument!r} is not NAME=VALUE")
        is_number = value.removeprefix("-").isdecimal()
        made.append((name, int(value) if is_number else value))
    return tuple(made)


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return number


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return number

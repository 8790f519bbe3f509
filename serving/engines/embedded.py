"""The engine in this package, for development, tests and CI."""

import sys
from collections.abc import Mapping

from core.child_processes import child_environment
from serving.engines.engine import Engine, Options, server_flags


class Embedded(Engine):
    """`python -m serving.server.process`."""

    name = "embedded"
    logs_requests = True

    def missing(self) -> str | None:
        """See `Engine`: it is always there."""
        return None

    def command(self, options: Options) -> list[str]:
        """See `Engine`."""
        log = []
        if options.request_log:
            log = [
                f"--request_log_file={options.request_log.resolve()}",
                f"--request_log_sampling_rate={options.request_log_sampling:g}",
            ]
        return [
            *(sys.executable, "-m", "serving.server.process"),
            "--stop_with_stdin=true",
            f"--host={options.host}",
            f"--port={options.grpc_port}",
            f"--rest_api_port={options.rest_port}",
            f"--file_system_poll_wait_seconds={options.poll_seconds:g}",
            *log,
            *server_flags(
                options,
                models=options.models_config and options.models_config.resolve(),
                base_path=options.base_path and options.base_path.resolve(),
            ),
        ]

    def environment(self) -> Mapping[str, str]:
        """See `Engine`: this very package, wherever the process is started."""
        return child_environment()

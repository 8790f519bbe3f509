"""TensorFlow Serving's own binary, found on the PATH."""

import shutil

from serving.engines.engine import Engine, Options, server_flags, whole_seconds

COMMAND = "tensorflow_model_server"


class Binary(Engine):
    """`tensorflow_model_server`; it listens on all addresses of the machine."""

    name = COMMAND
    heeds_host = False

    def missing(self) -> str | None:
        """See `Engine`."""
        if shutil.which(COMMAND):
            return None
        return f"{COMMAND} is not on the PATH; install TensorFlow Serving, or use --engine auto"

    def command(self, options: Options) -> list[str]:
        """See `Engine`."""
        return [
            COMMAND,
            f"--port={options.grpc_port}",
            f"--rest_api_port={options.rest_port}",
            f"--file_system_poll_wait_seconds={whole_seconds(options.poll_seconds)}",
            *server_flags(
                options,
                models=options.models_config and options.models_config.resolve(),
                base_path=options.base_path and options.base_path.resolve(),
            ),
        ]

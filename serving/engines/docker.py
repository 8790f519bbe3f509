"""TensorFlow Serving's Docker image."""

import shutil
import subprocess
from pathlib import Path

from serving.engines.engine import (
    GRPC_PORT,
    REST_PORT,
    Engine,
    Options,
    server_flags,
    whole_seconds,
)

# The newest release of TensorFlow Serving. requirements.lock names TensorFlow 2.21, for which there
# is none yet (tensorflow/serving issues 4129 and 4130); go on to it as soon as there is. A test
# holds serving_model/compose.yaml to this line, and this line to the lock.
TAG = "2.20.0"
IMAGE = f"tensorflow/serving:{TAG}"

MODELS, CONFIGS = Path("/models"), Path("/configs")
"""Where the container sees the versions, and the files."""

ANSWER_S = 20.0
"""Seconds that Docker's engine has to say that it is there; a remote one may never say so."""


class Docker(Engine):
    """The image `tensorflow/serving`, with everything mounted read-only."""

    name = "docker"
    is_local = False

    def missing(self) -> str | None:
        """See `Engine`."""
        if not shutil.which("docker"):
            return "docker is not on the PATH; install Docker, or use --engine auto"
        try:
            subprocess.run(
                ["docker", "version", "--format", "{{.Server.Version}}"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ANSWER_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return "Docker's engine does not answer; start it, or use --engine auto"
        return None

    def command(self, options: Options) -> list[str]:
        """See `Engine`."""
        host = f"[{options.host}]" if ":" in options.host else options.host
        mounts = []
        if options.base_path:
            mounts.append((options.base_path.resolve(), MODELS / options.model_name))
        mounts += [(file.resolve(), CONFIGS / file.name) for file in options.files]
        return [
            *("docker", "run", "--rm", "--init"),
            *("--publish", f"{host}:{options.grpc_port}:{GRPC_PORT}"),
            *("--publish", f"{host}:{options.rest_port}:{REST_PORT}"),
            *(
                word
                for source, target in mounts
                for word in ("--mount", f"type=bind,source={source},target={target},readonly")
            ),
            # The image's own entry point is a script that sets the name and the base path.
            *("--entrypoint", "tensorflow_model_server"),
            IMAGE,
            f"--port={GRPC_PORT}",
            f"--rest_api_port={REST_PORT}",
            f"--file_system_poll_wait_seconds={whole_seconds(options.poll_seconds)}",
            *server_flags(
                options,
                models=options.models_config and CONFIGS / options.models_config.name,
                base_path=MODELS / options.model_name,
                configs=CONFIGS,
            ),
        ]

"""Beam's options for each runner, and what of them is wrong before anything starts."""

import argparse
import json
import os
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from core import older_linux
from core.config import DATAFLOW, DIRECT, FLINK, SPARK, RunConfig
from core.errors import DexmatchError

RUNNERS = {
    DIRECT: "DirectRunner",
    FLINK: "FlinkRunner",
    SPARK: "SparkRunner",
    DATAFLOW: "DataflowRunner",
}
"""`run.runner` to Beam's name."""

CLUSTERS = (FLINK, SPARK)
"""Those that start workers of ours, on hosts that share a file system with this one."""

OF_DATAFLOW = ("project", "region", "temp_location")
"""Options that Dataflow must be given."""

LOCAL_IMAGE = "local"
"""Of workers that run in no container."""

_DIRECT = (
    "--direct_running_mode=in_memory",
    # DirectRunner is a switch that would first try to download the Prism runner, and so do
    # different things with and without a network. It leaves Prism out where this is set; we use no
    # triggers.
    "--allow_unsafe_triggers",
    *older_linux.beam_args(),
)
_PLUGINS = "--beam_plugins=tfx"
"""Has workers import tfx when they start, whatever they unpickle first."""
_IMAGE = "--sdk_container_image"
_ADDRESSES = {
    FLINK: (re.compile(r"(https?://)?(?P<host>[^\s/:]+):(?P<port>\d+)/?"), "HOST:PORT"),
    SPARK: (re.compile(r"spark://(?P<host>[^\s/:]+):(?P<port>\d+)"), "spark://HOST:PORT"),
}
_IN_PROCESS = {FLINK: re.compile(r"\[(local|auto)\]"), SPARK: re.compile(r"local(\[.+\])?")}
"""Addresses for a cluster that the job server starts in itself."""
_JOB_ENDPOINT = (re.compile(r"(?P<host>[^\s/:]+):(?P<port>\d+)"), "HOST:PORT")
_SECONDS = 5


def arguments(settings: RunConfig, *, boot: str = "", image: str = LOCAL_IMAGE) -> list[str]:
    """Options for the Beam jobs of a pipeline; those of `run.beam_args` come last, and win.

    Args:
      settings: which runner, and where it is.
      boot: what starts a worker on a cluster, see `pipeline.beam.boot`.
      image: of workers that run in containers. TFX packs itself anew for each component, as other
        workers must install it, unless an image is named; those of a cluster run in this
        environment, and no image.
    """
    asked = list(settings.beam_args)
    options = [f"--runner={RUNNERS[settings.runner]}"]
    if settings.runner == DIRECT:
        options += _DIRECT
        # A runner of the user's own choice.
        if option(asked, "runner") not in (None, RUNNERS[DIRECT]):
            return [*options, *asked]
    else:
        options.append(_PLUGINS)
    if settings.runner == DATAFLOW:
        # Its default; all that is pickled is in modules, which the image has.
        options.append("--no_save_main_session")
    if settings.runner == FLINK and settings.flink_master:
        options.append(f"--flink_master={settings.flink_master}")
    if settings.runner == SPARK and settings.spark_master:
        options.append(f"--spark_master_url={settings.spark_master}")
    if settings.runner in CLUSTERS:
        options += [
            "--environment_type=PROCESS",
            f"--environment_config={json.dumps({'command': boot})}",
        ]
    return [*options, f"{_IMAGE}={image}", *asked]


def option(beam_args: Sequence[str], name: str) -> str | None:
    """The value that Beam's arguments have for an option; None if they do not name it."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False, add_help=False)
    parser.add_argument(f"--{name}", dest="value")
    try:
        value: str | None = parser.parse_known_args(list(beam_args))[0].value
    except argparse.ArgumentError as error:
        raise DexmatchError(f"run.beam_args: {error}") from error
    return value


def check(settings: RunConfig) -> None:
    """Finds what a runner lacks.

    Raises:
      DexmatchError: an option is missing, is no address, or nobody answers there.
    """
    runner, asked = settings.runner, settings.beam_args
    own = option(asked, "runner")
    if runner != DIRECT and own not in (None, RUNNERS[runner]):
        raise DexmatchError(
            f"run.beam_args: --runner={own}, but run.runner is {runner}: take one of them out"
        )
    if runner == DATAFLOW:
        for name in OF_DATAFLOW:
            if not option(asked, name):
                example = "gs://bucket/temp" if name == "temp_location" else "NAME"
                raise DexmatchError(
                    f"run.runner: dataflow needs --{name}: --beam-arg=--{name}={example}"
                )
        location = option(asked, "temp_location") or ""
        if not location.startswith("gs://"):
            raise DexmatchError(
                f"--temp_location={location}: Dataflow keeps its files in Cloud Storage: name a "
                "folder there, as in gs://bucket/temp"
            )
    if runner in CLUSTERS:
        _check_cluster(settings)


def _check_cluster(settings: RunConfig) -> None:
    runner = settings.runner
    key = f"run.{runner}_master"
    master = settings.flink_master if runner == FLINK else settings.spark_master
    pattern, form = _ADDRESSES[runner]
    endpoint = option(settings.beam_args, "job_endpoint")
    if endpoint:
        _check_answers("--job_endpoint", endpoint, *_JOB_ENDPOINT)
        return
    if not master:
        raise DexmatchError(
            f"run.runner: {runner} needs the address of the cluster: --{runner}-master {form}"
        )
    if not _IN_PROCESS[runner].fullmatch(master):
        _check_answers(key, master, pattern, form)
    if not _java():
        raise DexmatchError(
            f"run.runner: {runner} needs Java, in which Beam's job server is written: install it, "
            "or name a job server that runs elsewhere: --beam-arg=--job_endpoint=HOST:PORT"
        )


def _check_answers(key: str, address: str, pattern: re.Pattern[str], form: str) -> None:
    found = pattern.fullmatch(address)
    if not found:
        raise DexmatchError(f"{key}: {address} is no address; write {form}")
    try:
        with socket.create_connection((found["host"], int(found["port"])), timeout=_SECONDS):
            pass
    except (OSError, OverflowError) as error:
        raise DexmatchError(
            f"{key}: nobody answers at {address} ({error}); is it running, and is that its port?"
        ) from error


def _java() -> str | None:
    """As Beam looks for it."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which(str(Path(home, "bin", "java")) if home else "java")

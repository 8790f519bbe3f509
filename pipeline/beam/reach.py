"""Whether workers on the hosts of a cluster reach what a run needs, asked before it starts."""

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from core.config import Config
from core.errors import DexmatchError
from pipeline.beam import boot
from pipeline.beam.boot import FOLDER
from results import links
from results.workspace import Workspace

_MARKER, _ANSWER = "marker", "answer"
_SECONDS = 600
_DOCS = 'see "Beam on a cluster" in docs/scale.md'


@dataclass(frozen=True)
class _Look:
    """What a worker looks at; it tells by the answer, and by what it raises.

    Attributes:
      runner: `run.runner`.
      root: the workspace as people know it.
      inside: the same, as those who have entered it call it.
      marker: what the file of that name holds.
      paths: key of the configuration to the path of a link in the workspace.
    """

    runner: str
    root: str
    inside: str
    marker: str
    paths: Mapping[str, str]

    def __call__(self, _: object) -> None:
        host = socket.gethostname()
        folder = Path(self.inside, FOLDER)
        try:
            found = (folder / _MARKER).read_text(encoding="utf-8")
        except OSError:
            found = ""
        if found != self.marker:
            raise DexmatchError(
                f"run.workspace: a worker on {host} finds another folder at {self.root}, or none: "
                f"with run.runner = {self.runner} it must be on a file system that all hosts share"
            )
        for key, path in self.paths.items():
            if not os.path.exists(path):
                raise DexmatchError(
                    f"{key}: a worker on {host} does not find {links.followed(Path(path))}: with "
                    f"run.runner = {self.runner} it must be on a file system that all hosts share"
                )
        try:
            (folder / _ANSWER).write_text(self.marker, encoding="utf-8")
        except OSError as error:
            raise DexmatchError(
                f"run.workspace: a worker on {host} cannot write into {self.root} "
                f"({error.strerror}): run workers as the same user, or give theirs the right"
            ) from error


def check(config: Config, inputs: Config, workspace: Workspace, arguments: Sequence[str]) -> None:
    """Has a worker look, in a small job, whether it reaches what the jobs of a run name.

    Call it in the workspace. It is one worker of perhaps many.

    Args:
      config: names the runner.
      inputs: the configuration with paths in the workspace.
      workspace: has what `boot.write` wrote.
      arguments: Beam's.

    Raises:
      DexmatchError: it does not, or no worker does the job.
    """
    folder = workspace.root / FOLDER
    marker = secrets.token_hex(8)
    (folder / _MARKER).write_text(marker, encoding="utf-8")
    # Not removed: a file system of the network may remember for a while that a file is not there.
    (folder / _ANSWER).write_text("", encoding="utf-8")
    paths = {"data.dataset": inputs.data.dataset}
    if inputs.bulk.dataset:
        paths["bulk.dataset"] = inputs.bulk.dataset
    paths |= {
        f"run.code: {each.name}": workspace.inside(each)
        for each in boot.packages(workspace).iterdir()
    }
    inside = workspace.inside(workspace.root)
    runner = config.run.runner
    look = _Look(runner, str(workspace.root), inside, marker, paths)
    pipeline = beam.Pipeline(options=PipelineOptions(list(arguments)))
    _ = pipeline | beam.Create([None]) | beam.Map(look)
    try:
        result = pipeline.run()
        # A runner may wait for ever for a worker that cannot be started.
        state = result.wait_until_finish(duration=_SECONDS * 1000)
    except DexmatchError:
        raise
    except Exception as error:
        if f"{DexmatchError.__name__}: " in str(error):
            raise  # What a worker raised, in a stack trace: whoever reports errors finds it.
        raise DexmatchError(
            f"run.runner: {runner} did not do a first small job: {_last_line(error)}; {_DOCS}"
        ) from error
    if not PipelineState.is_terminal(state):
        result.cancel()
        raise DexmatchError(
            f"run.runner: no worker of {runner} did a first small job within {_SECONDS} seconds: "
            f"can its hosts start {boot.program(workspace)}? {_DOCS}"
        )
    if (folder / _ANSWER).read_text(encoding="utf-8") != marker:
        raise DexmatchError(
            f"run.workspace: what a worker of {runner} wrote into {workspace.root} is not there: "
            "it must be on a file system that all hosts share"
        )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

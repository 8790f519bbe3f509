"""The program that starts a worker on a host of a cluster, in a run's workspace.

Workers work in the workspace's folder, so that `/proc/self/cwd` is to them what it is to the run.
It must lie on a file system that all hosts share, under the same path, as must what the workspace
links to, and the Python environment.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path

from core.child_processes import child_environment
from core.config import Config
from core.user_functions import package_of
from results.workspace import Workspace

FOLDER = "beam"
"""In a workspace: the program, and links to the user's packages."""

_PACKAGES = "packages"


def program(workspace: Workspace) -> Path:
    """Where it is."""
    return workspace.root / FOLDER / "worker"


def packages(workspace: Workspace) -> Path:
    """Folder with links to the user's packages that are not installed."""
    return workspace.root / FOLDER / _PACKAGES


def write(config: Config, workspace: Workspace) -> None:
    """Writes it, in place of an earlier run's.

    It takes the arguments that Beam gives to the command of an environment PROCESS, and to the
    `--container_executable` of a worker pool.

    Call it with the workspace's lock held, in the folder where the run was started.
    """
    links = packages(workspace)
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir(parents=True)
    for name in {package_of(each) for each in config.user_functions.values()}:
        held = Path(config.run.code, name)
        if held.is_dir():  # Else it is installed.
            (links / name).symlink_to(held.resolve())
    variables = child_environment()
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [variables["PYTHONPATH"], str(links)]))
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    path = program(workspace)
    path.write_text(
        "#!/bin/sh\n"
        "# Written by each run: starts a worker of Beam's in this workspace.\n"
        f"cd -- {shlex.quote(str(workspace.root))} || exit 1\n"
        f"export {exports}\n"
        # A worker pool does not read what workers print.
        f'exec {shlex.quote(sys.executable)} -m pipeline.beam.worker "$@" >&2\n',
        encoding="utf-8",
    )
    path.chmod(0o755)

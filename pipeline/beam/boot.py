"""The program that starts a worker on a host of a cluster.

A run's work in the workspace's folder, so that `/proc/self/cwd` is to them what it is to the run.
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

    Call it with the workspace's lock held, in the folder where the run was started.
    """
    links = packages(workspace)
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir(parents=True)
    for name in {package_of(each) for each in config.user_functions.values()}:
        held = Path(config.run.code, name)
        if held.is_dir():  # Else it is installed.
            (links / name).symlink_to(held.resolve())
    write_program(program(workspace), workspace.root, links)


def write_program(path: Path, folder: Path, *packages: Path) -> None:
    """Writes a program that starts a worker.

    It takes the arguments that Beam gives to the command of an environment PROCESS, and to the
    `--container_executable` of a worker pool.

    Args:
      path: where to.
      folder: where workers work.
      packages: folders of packages that are not installed.
    """
    variables = child_environment()
    found = filter(None, [variables["PYTHONPATH"], *map(str, packages)])
    variables["PYTHONPATH"] = os.pathsep.join(found)
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    path.write_text(
        "#!/bin/sh\n"
        "# Written by dexmatch: starts a worker of Beam's.\n"
        f"cd -- {shlex.quote(str(folder))} || exit 1\n"
        f"export {exports}\n"
        # A worker pool does not read what workers print.
        f'exec {shlex.quote(sys.executable)} -m pipeline.beam.worker "$@" >&2\n',
        encoding="utf-8",
    )
    path.chmod(0o755)

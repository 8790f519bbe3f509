"""Where a pipeline keeps its things, and the lock that keeps two runs apart."""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.config import Config
from core.errors import DexmatchError
from results.shared_store import SharedStore

ARTIFACTS = "artifacts"
"""The folder, in a workspace, of what components make."""

INSIDE = "/proc/self/cwd"
"""What a workspace is called by a run, which has `entered` it.

It is the same whatever the folders above are called, and wherever they are moved: TFX, Beam and
TensorFlow, which read some characters of a path as patterns, see nothing of them, and what MLMD
records holds. A relative path would do, were it not that Beam makes some of them absolute. macOS
has no such name: there it is the workspace's own path.
"""


def called(root: Path) -> str:
    """What a run that has entered a workspace calls its folder."""
    return INSIDE if os.path.isdir(INSIDE) else str(root)


@dataclass(frozen=True)
class Workspace:
    """The folders of one pipeline.

    Attributes:
      root: everything but the pushed models is below it.
      serving: pushed models, one folder a version.
      shared: the database server that takes the place of `metadata`, if one does.
    """

    root: Path
    serving: Path
    shared: SharedStore | None = None

    @classmethod
    def from_config(cls, config: Config) -> "Workspace":
        """The workspace that a configuration names."""
        return cls(
            root=Path(config.run.workspace).resolve() / config.run.name,
            serving=Path(config.pusher.directory).resolve() / config.run.name,
            shared=SharedStore.from_setting(
                config.run.metadata, config.run.name, config.run.metadata_password_file
            ),
        )

    @property
    def artifacts(self) -> Path:
        """What components make."""
        return self.root / ARTIFACTS

    @property
    def metadata(self) -> Path:
        """MLMD's SQLite file: which run made what from what."""
        return self.root / "metadata.sqlite"

    @property
    def checkpoints(self) -> Path:
        """What a training that was killed needs to go on."""
        return self.root / "checkpoints"

    @property
    def logs(self) -> Path:
        """One log file a run."""
        return self.root / "logs"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the workspace and holds it; the system lets go even if the process is killed.

        Raises:
          DexmatchError: another run holds it, or a file stands where a folder is to be.
        """
        for folder in (self.root, self.serving):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                raise DexmatchError(
                    f"{error.filename}: a file stands where a folder is wanted; move it away, or "
                    "choose another folder (run.workspace, pusher.directory)"
                ) from error
        with self._lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DexmatchError(
                    f"{self.root}: another run is at work here; wait for it, or give this one a "
                    "name of its own (--set run.name=...)"
                ) from error
            yield

    def is_locked(self) -> bool:
        """Whether a run holds it; nothing is made or kept."""
        try:
            with self._lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # There was no run yet.
            return False
        return False

    @property
    def _lock(self) -> Path:
        return self.root / ".lock"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Makes the workspace the current folder."""
        # An empty entry, as `python -c` makes it, stands for the current folder.
        sys.path[:] = [
            os.path.abspath(each) if os.path.isdir(each or ".") else each for each in sys.path
        ]
        with contextlib.chdir(self.root):
            yield

    def inside(self, path: Path) -> str:
        """How those who have `entered` the workspace call a path in it."""
        return f"{called(self.root)}/{path.relative_to(self.root)}"

    @contextlib.contextmanager
    def scratch(self) -> Iterator[None]:
        """Keeps temporary files inside the workspace, and clears them: Beam leaves its own behind.

        Call it with the lock held: what a killed run left is removed first.
        """
        folder = self.root / ".tmp"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        before, tempfile.tempdir = tempfile.tempdir, str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before
            shutil.rmtree(folder, ignore_errors=True)

"""Where a pipeline keeps its things, and the lock that keeps two runs apart."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.config import Config
from core.errors import DexmatchError


@dataclass(frozen=True)
class Workspace:
    """The folders of one pipeline.

    Attributes:
      root: everything but the pushed models is below it.
      serving: pushed models, one folder a version.
    """

    root: Path
    serving: Path

    @classmethod
    def from_config(cls, config: Config) -> "Workspace":
        """The workspace that a configuration names."""
        return cls(
            root=Path(config.run.workspace).resolve() / config.run.name,
            serving=Path(config.pusher.directory).resolve() / config.run.name,
        )

    @property
    def artifacts(self) -> Path:
        """What components make."""
        return self.root / "artifacts"

    @property
    def metadata(self) -> Path:
        """MLMD's database: which run made what from what."""
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
        """Holds the workspace; the system lets go of it even if the process is killed.

        Raises:
          DexmatchError: another run holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DexmatchError(
                    f"{self.root}: another run is at work here; wait for it, or give this one a "
                    "name of its own (--set run.name=...)"
                ) from error
            yield

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

"""What the checks look at."""

import functools
from dataclasses import dataclass

from core.config import Config
from core.progress import show_progress
from pipeline.doctor import database, tensorflow_process
from pipeline.doctor.check import Check
from pipeline.doctor.tensorflow_process import Loaded
from results import versions
from results.metadata import Metadata
from results.versions import Version
from results.workspace import Workspace


@dataclass(frozen=True)
class Subject:
    """What the checks look at.

    Attributes:
      settings: name the data set, the workspace, and where models are pushed.
      thorough: whether what takes minutes is done too: reading a data set whole, loading TFX.
    """

    settings: Config
    thorough: bool = False

    @functools.cached_property
    def workspace(self) -> Workspace:
        """The workspace that the settings name, which need not be there."""
        return Workspace.from_config(self.settings)

    @functools.cached_property
    def database(self) -> Check:
        """Whether the workspace's database is whole."""
        return database.look_at(self.workspace)

    @functools.cached_property
    def metadata(self) -> Metadata | None:
        """Past runs; None if the database is not whole: MLMD opens it to write, and mends it."""
        return Metadata.of(self.workspace) if self.database.facts["is_whole"] else None

    @functools.cached_property
    def versions(self) -> list[Version]:
        """All versions of the pushed model, the newest first."""
        return versions.list_versions(self.workspace.serving)

    @functools.cached_property
    def served(self) -> Version | None:
        """The version that a model server serves; None if nothing was pushed."""
        return versions.served(self.versions)

    @functools.cached_property
    def tensorflow(self) -> Loaded:
        """What came of loading TensorFlow, once for all checks."""
        model = self.served.path if self.served else None
        with show_progress("Loading TensorFlow and TFX" if self.thorough else "Loading TensorFlow"):
            return tensorflow_process.load(model, with_tfx=self.thorough)

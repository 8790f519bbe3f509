"""Projects on a small demo, in which the pipeline runs as a user runs it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from core import config as configs
from data import importer
from data.columns import Columns
from data.demo import generator
from results.metadata import Metadata, Run
from results.workspace import Workspace

ROOT = Path(__file__).parents[2]
# Over the demo's recipe: small enough for seconds, and with a bound that any model holds. What is
# tested is the machinery.
TINY = {
    "image.size": 32,
    "trainer.epochs": 1,
    "trainer.batch_size": 8,
    "model.weights": "none",
    "model.feature_levels": [2],
    "model.embedding_dim": 16,
    "model.recurrent_units": 16,
    "model.word_dim": 16,
    "model.attributes": ["color"],
    "evaluator.slice_columns": ["color", "body"],
    "evaluator.confidence": "none",
    "evaluator.min_slice_pairs": 1,
    "evaluator.blessing": [{"metric": "auc", "slice": "against:random", "min": 0.0}],
}


# TFX, Beam and TensorFlow take some of it for a pattern, and not all of them take the rest.
_ODD = "prö [v2] a?b*c{d}%20#e:f\\g"


class Project:
    """A folder that keeps everything of its runs.

    Args:
      folder: an empty folder.
      dataset: what `dexmatch data import` made.
      settings: configuration keys of all runs, with `__` for the dot.

    Attributes:
      program: what starts `dexmatch`; by itself with the code in the folder that it is started in.
    """

    program: Sequence[str] = (sys.executable, "-c", "from pipeline.cli import main; main()")

    def __init__(self, folder: Path, dataset: Path, **settings: object):
        self.folder = folder
        self.dataset = dataset
        self._settings = {
            **TINY,
            "run.workspace": str(folder / "runs"),
            "pusher.directory": str(folder / "serving"),
            **_keys(settings),
        }
        places = ("run.workspace", "pusher.directory")
        chosen = [f"{key}={_toml(self._settings[key])}" for key in places]
        self.workspace = Workspace.from_config(configs.load(None, chosen))

    def command(self, *arguments: str, **settings: object) -> list[str]:
        """What runs the pipeline."""
        chosen = {**self._settings, **_keys(settings)}
        overrides = [f"--set={key}={_toml(value)}" for key, value in chosen.items()]
        chosen_data = ("--config=demo", f"--data={self.dataset}")
        return [*self.program, "run", *chosen_data, *overrides, *arguments]

    def run(
        self, *arguments: str, status: int = 0, cwd: Path = ROOT, **settings: object
    ) -> subprocess.CompletedProcess:
        """Runs it in a folder; it must end with this exit status."""
        done = subprocess.run(
            self.command(*arguments, **settings),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        return Metadata(self.workspace.metadata).runs()

    def latest(self) -> Run:
        """The latest run."""
        return Metadata(self.workspace.metadata).latest()

    def versions(self) -> list[str]:
        """What was pushed."""
        serving = self.workspace.serving
        return sorted(path.name for path in serving.iterdir()) if serving.exists() else []

    def log(self) -> str:
        """What the latest run said."""
        latest = max(self.workspace.logs.iterdir())
        return latest.read_text(encoding="utf-8", errors="replace")


def _keys(settings: dict[str, object]) -> dict[str, object]:
    return {key.replace("__", "."): value for key, value in settings.items()}


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {json.dumps(each)}' for key, each in value.items()) + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        inner = (", ".join(f"{k} = {json.dumps(v)}" for k, v in each.items()) for each in value)
        return "[" + ", ".join(f"{{{each}}}" for each in inner) + "]"
    return json.dumps(value)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """A small demo, imported; what its name means as a pattern is no data set."""
    folder = tmp_path_factory.mktemp("demo") / _ODD
    generator.write_folder(folder / "pictures", count=120, size=48)
    importer.import_pairs(
        folder / "pictures" / "captions.csv",
        folder / "ds[12]",
        columns=Columns(group="family"),
        say=lambda _: None,
    )
    shutil.copytree(folder / "ds[12]", folder / "ds1")
    for shard in (folder / "ds1").glob("pairs-*"):
        shard.write_bytes(b"something else")
    return folder / "ds[12]"


@pytest.fixture(scope="session")
def new_project(dataset):
    """Makes a `Project` in a folder, with settings of its own."""
    return lambda folder, **settings: Project(folder, dataset, **settings)


@pytest.fixture(scope="session")
def wheels(test_module):
    """The functions of `wheels`."""
    return test_module("end_to_end/wheels.py")


@pytest.fixture(scope="session")
def wheel(wheels, tmp_path_factory):
    """A wheel of the package."""
    return wheels.build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def installed_command(wheels, wheel, tmp_path_factory):
    """The `dexmatch` of an environment in which the wheel is installed."""
    pytest.importorskip("ensurepip", reason="Debian's Python needs python3-venv to install pip")
    return wheels.install(wheel, tmp_path_factory.mktemp("environment"))

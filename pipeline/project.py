"""A folder to start from for one's own project: its files, and how they get there."""

import keyword
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from core import config as configs
from core.config import PROJECT_FILE, Config
from core.errors import DexmatchError
from core.files import write_atomically
from core.user_functions import is_installed
from pipeline import template

_FIRST_CHANGED = (
    "run.orchestrator",
    "data.dataset",
    "data.val_buckets",
    "data.test_buckets",
    "image.size",
    "caption.max_tokens",
    "caption.min_count",
    "model.backbone",
    "model.weights",
    "model.attributes",
    "trainer.epochs",
    "trainer.batch_size",
    "trainer.learning_rate",
    "trainer.patience",
    "tuner.trials",
    "augment.flip",
    "evaluator.slice_columns",
    "evaluator.min_slice_pairs",
    "evaluator.blessing",
    "pusher.keep_versions",
    "card.owner",
    "card.licence",
    "card.intended_use",
)
"""Keys that stand in the file, with the values that they have anyway, behind a `#`."""
_EXAMPLES = {"data.dataset": "datasets/mine"}
"""Shown where a key has no value yet."""

_IGNORED = ("/runs/", "/datasets/", "/serving_model/*/", "__pycache__/")
_RUN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Project:
    """What is to be made.

    Attributes:
      folder: that holds the project.
      recipe: that its configuration extends.
      dataset: data set folder; empty if there is none yet.
      package: name of the package with the user's own functions; None without one.
    """

    folder: Path
    recipe: str
    dataset: str
    package: str | None

    @property
    def name(self) -> str:
        """Of the pipeline and of the served model: the folder's, where it can be."""
        name = self.folder.resolve().name
        return name if _RUN_NAME.fullmatch(name) else "dexmatch"


def package_name(folder: Path, asked: str | None) -> str:
    """The name of a project's package: the one asked for, or one made of the folder's.

    Raises:
      DexmatchError: it is no name for a package, or that of an installed one.
    """
    name = asked or re.sub(r"\W", "_", folder.resolve().name)
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
        raise DexmatchError(
            f"{name}: no name for a package; name another, of ASCII letters, by --package"
        )
    if is_installed(name):
        raise DexmatchError(
            f"{name}: is also the name of an installed package; name another by --package"
        )
    return name


def make(project: Project) -> tuple[list[Path], list[Path]]:
    """Writes the files of a project, each whole or not at all, the configuration last.

    Nothing is overwritten. What is there already with the very content, as after a kill, is no
    obstacle; another README.md or .gitignore stays as it is.

    Returns:
      The files that were written, and those that were left as they are.

    Raises:
      DexmatchError: another file stands in the way, named, and nothing was written; or a file
        cannot be written.
    """
    wanted = {project.folder / name: text for name, text in _files(project)}
    there = [path for path in wanted if os.path.lexists(path)]
    others = [path for path in there if _content(path) != wanted[path]]
    yielding = {project.folder / name for name in ("README.md", ".gitignore")}
    if in_the_way := [path for path in others if path not in yielding]:
        raise DexmatchError(f"{in_the_way[0]}: exists already, and is not overwritten")
    written = [path for path in wanted if path not in there]
    for path in written:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise DexmatchError(f"{error.filename}: a file stands there") from error
        write_atomically(path, wanted[path])
    return written, others


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _files(project: Project) -> Iterator[tuple[str, str]]:
    """Name and content of each file."""
    if project.package:
        for file in sorted(resources.files(template).iterdir(), key=lambda each: each.name):
            if file.name.endswith(".py"):
                yield f"{project.package}/{file.name}", file.read_text(encoding="utf-8")
    yield ".gitignore", "".join(f"{each}\n" for each in _IGNORED)
    yield "README.md", readme(project)
    yield PROJECT_FILE, configuration(project)


def readme(project: Project) -> str:
    """The README, six lines."""
    data = project.dataset or _EXAMPLES["data.dataset"]
    name = "" if project.dataset else f", to be named in `{PROJECT_FILE}`"
    own = f"; `{project.package}/` is the code of our own that it names" if project.package else ""
    return f"""\
# {project.name}

- `dexmatch data import captions.csv --out {data}` makes a data set of pictures with captions{name}.
- `dexmatch run` trains, judges and pushes a model; `dexmatch report --open` shows how it went.
- `dexmatch serve` serves what was pushed; `dexmatch predict` and `dexmatch search` ask it.
- `{PROJECT_FILE}` is the configuration (`dexmatch config show --keys` explains every key){own}.
"""


def configuration(project: Project) -> str:
    """The configuration file: what is set, and behind a `#` the keys that people change first."""
    recipe = configs.load(configs.file_or_recipe(Path(project.recipe)))
    chosen: dict[str, Any] = {"run.name": project.name}
    if project.dataset:
        chosen["data.dataset"] = project.dataset
    if project.package:
        chosen["run.components"] = f"{project.package}.pipeline.components"
        chosen["caption.normalize"] = f"{project.package}.preprocessing.normalize"
        chosen["model.build"] = f"{project.package}.model.build"
    parts = [
        f"# The configuration of {project.name}, which every command uses that is started in this\n"
        "# folder. A line that begins with # and a key shows the value that it has anyway, or an\n"
        "# example. `dexmatch config show --keys` explains all keys.\n\n"
        f'extends = "{project.recipe}"\n'
    ]
    for name in Config.model_fields:
        section = getattr(recipe, name)
        lines = []
        for key, field in type(section).model_fields.items():
            full = f"{name}.{key}"
            if full not in chosen and full not in _FIRST_CHANGED:
                continue
            lines += [f"# {line}" for line in textwrap.wrap(field.description or "", 96)]
            value = section.model_dump(mode="json", exclude_none=True)[key]
            value = chosen.get(full, value) or _EXAMPLES.get(full, value)
            mark = "" if full in chosen else "#"
            lines += [f"{mark}{line}" for line in _toml(key, value).splitlines()]
        if lines:
            parts.append("\n".join([f"[{name}]", *lines, ""]))
    return "\n".join(parts)


def _toml(key: str, value: Any) -> str:
    """`key = value`, a list of tables as one of inline tables, a line each."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        rows = (", ".join(_toml(*item) for item in row.items()) for row in value)
        return "\n".join([f"{key} = [", *(f"    {{ {row} }}," for row in rows), "]"])
    return tomli_w.dumps({key: value}).strip()

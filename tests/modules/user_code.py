"""A project's package, as `dexmatch init --template` writes it, made importable for a while."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from core.user_functions import importable
from pipeline import project

NAMED = {
    "model.build": "shop.model.build",
    "caption.normalize": "shop.preprocessing.normalize",
}
OVERRIDES = tuple(f"{key}={json.dumps(name)}" for key, name in NAMED.items())


def write(folder: Path, changes: dict[str, tuple[str, str]] | None = None) -> None:
    """Writes the package, with changes: a module to what stands there and what shall instead."""
    project.make(project.Project(folder, "demo", "", "shop"))
    for module, (before, after) in (changes or {}).items():
        path = folder / "shop" / f"{module}.py"
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after), encoding="utf-8")


@contextlib.contextmanager
def written(folder: Path, changes: dict[str, tuple[str, str]] | None = None) -> Iterator[None]:
    """Inside, what `write` writes can be imported."""
    write(folder, changes)
    with importable(folder, NAMED):
        yield

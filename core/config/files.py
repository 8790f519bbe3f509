"""Configuration files: found by path or by a recipe's name, and read with what they extend."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import recipes
from core.errors import DexmatchError

EXTENDS = "extends"
"""Key of a file that names another one, whose keys hold where it has none of its own."""

PROJECT_FILE = "dexmatch.toml"
"""What `dexmatch init` writes: the configuration of all commands in the folder that holds it."""

_RECIPES = resources.files(recipes)
_SUFFIX = ".toml"


def recipe_names() -> list[str]:
    """The names of the recipes that come along with the package, such as "demo", in order."""
    files = (each.name for each in _RECIPES.iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX))


def file_or_recipe(asked: Path, folder: Path = Path()) -> Path:
    """The configuration file that is meant by a path or by a recipe's name.

    Args:
      asked: what names no file there, and has neither a suffix nor a slash, is a recipe's name.
      folder: that the path is from.

    Returns:
      The recipe's file; the path itself, whether there is such a file or not, if it is no name.

    Raises:
      DexmatchError: no recipe has that name.
    """
    there = folder / asked
    if there.is_file() or asked.suffix or len(asked.parts) != 1:
        return there
    if asked.name not in recipe_names():
        raise DexmatchError(
            f"{asked}: no such file, and no such recipe; the recipes are "
            f"{', '.join(recipe_names())}"
        )
    return Path(str(_RECIPES / f"{asked.name}{_SUFFIX}"))


def is_recipe(path: Path) -> bool:
    """Whether a file is a recipe that comes along."""
    return path.parent == Path(str(_RECIPES))


def read_toml(path: Path) -> dict[str, Any]:
    """A file's sections as plain dicts, with the keys of those that it extends.

    Args:
      path: of the file; its `extends` is a path from its own folder, or a recipe's name.

    Raises:
      DexmatchError: a file cannot be read, or extends itself; names the file.
    """
    tree: dict[str, Any] = {}
    for file in reversed(_chain(path)):
        for section, values in file.items():
            there = tree.get(section)
            if isinstance(values, dict) and isinstance(there, dict):
                values = {**there, **values}
            tree[section] = values
    return tree


def _chain(path: Path) -> list[dict[str, Any]]:
    """What a file holds, what the file holds that it extends, and so on."""
    found, seen = [], set()
    while True:
        tree = _parse(path)
        base = tree.pop(EXTENDS, None)
        found.append(tree)
        seen.add(path.resolve())
        if base is None:
            return found
        if not isinstance(base, str) or not base:
            raise DexmatchError(f"{path}: {EXTENDS} must be a file or the name of a recipe")
        try:
            above = file_or_recipe(Path(base), path.parent)
        except DexmatchError as error:
            raise DexmatchError(f"{path}: {EXTENDS}: {error}") from error
        if above.resolve() in seen:
            raise DexmatchError(f"{path}: {EXTENDS} = {base!r}: then {above} would extend itself")
        path = above


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DexmatchError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DexmatchError(f"{path}: not valid TOML: {error}") from error

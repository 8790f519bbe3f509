"""Configurations to start from, which come along with the package and are found by their names."""

from importlib import resources
from pathlib import Path

from core.errors import DexmatchError

_SUFFIX = ".toml"


def recipe_names() -> list[str]:
    """The names of the recipes, such as "demo", in alphabetical order."""
    files = (each.name for each in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX))


def file_or_recipe(asked: Path) -> Path:
    """The configuration file that is meant by a path or by a recipe's name.

    Args:
      asked: what names no file here, and has neither a suffix nor a slash, is a recipe's name.

    Returns:
      The recipe's file; the path itself, whether there is such a file or not, if it is no name.

    Raises:
      DexmatchError: no recipe has that name.
    """
    if asked.is_file() or asked.suffix or len(asked.parts) != 1:
        return asked
    if asked.name not in recipe_names():
        raise DexmatchError(
            f"--config {asked}: no such file, and no such recipe; the recipes are "
            f"{', '.join(recipe_names())}"
        )
    return Path(str(resources.files(__name__) / f"{asked.name}{_SUFFIX}"))

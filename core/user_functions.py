"""Functions of the user's own that the configuration names: their package is found, and imported.

A user's folder holds more than the package that is meant, be it `data/` or `pickle.py`, and none of
that is ever to be imported. So not the folder is put on Python's path, but one that holds nothing
but links to the packages that are named.
"""

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import DexmatchError

_PATH = "PYTHONPATH"


def package_of(name: str) -> str:
    """The top-level package of a dotted name."""
    return name.partition(".")[0]


@contextlib.contextmanager
def importable(folder: Path, named: Mapping[str, str]) -> Iterator[None]:
    """Has the packages of dotted names imported from a folder inside, in child processes too.

    Nothing else that lies in the folder can be imported. What was imported before is forgotten, and
    so is at the end what was imported inside.

    Args:
      folder: that holds the packages; one that it does not hold must be installed.
      named: key of the configuration to the dotted name that it has.

    Raises:
      DexmatchError: a package is in neither place, or in both.
    """
    packages = {package_of(name): key for key, name in named.items()}
    held = [name for name, key in packages.items() if _is_held(folder, name, key)]
    if not held:
        yield
        return
    path = os.environ.get(_PATH)
    with tempfile.TemporaryDirectory(prefix="dexmatch-") as links:
        for package in held:
            os.symlink((folder / package).resolve(), Path(links, package))
        # Last in the path, so that nothing is hidden by them.
        sys.path.append(links)
        os.environ[_PATH] = os.pathsep.join([*filter(None, [path]), links])
        importlib.invalidate_caches()
        _forget(held)
        try:
            yield
        finally:
            sys.path.remove(links)
            if path is None:
                del os.environ[_PATH]
            else:
                os.environ[_PATH] = path
            _forget(held)


def _forget(packages: Sequence[str]) -> None:
    """Has modules read anew: code that was imported before may not be what lies there now."""
    for module in [each for each in sys.modules if package_of(each) in packages]:
        del sys.modules[module]


def _is_held(folder: Path, package: str, key: str) -> bool:
    """Whether a package lies in the folder; else it is installed."""
    there = folder / package
    if not there.is_dir():
        if (folder / f"{package}.py").is_file():
            raise DexmatchError(
                f"{key}: {there}.py must lie in a package; move it into a folder with an empty "
                "__init__.py"
            )
        if importlib.util.find_spec(package) is None:
            raise DexmatchError(
                f"{key}: there is no package {package} in {folder.resolve()}, and none is "
                "installed; run.code names the folder that holds it"
            )
        return False
    own = there.resolve()
    # With the current folder in Python's path, the folder around the package may be found too.
    if any(
        not (place.is_relative_to(own) or own.is_relative_to(place))
        for place in _installed_at(package)
    ):
        raise DexmatchError(
            f"{there}: {package} is also the name of an installed package; give the folder another"
        )
    if not (there / "__init__.py").is_file():
        raise DexmatchError(f"{there}: is no package; put an empty __init__.py into it")
    return True


def _installed_at(package: str) -> list[Path]:
    """Where Python finds a package as it is; "built-in" and the like are places too."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return [Path(place).resolve() for place in places]


def is_installed(package: str) -> bool:
    """Whether a package of that name is part of Python or installed, the current folder aside."""
    here = Path.cwd().resolve() / package
    return any(not place.is_relative_to(here) for place in _installed_at(package))


def load_function(key: str, name: str, parameters: Sequence[str]) -> Callable[..., Any]:
    """Imports a function by its dotted name.

    Args:
      key: of the configuration, for messages.
      name: such as "catalog.model.build".
      parameters: by which names it is called, in their order.

    Raises:
      DexmatchError: its module cannot be imported, there is no such function in it, or it takes
        other arguments; names the key, the file and the line.
    """
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except SyntaxError as error:
        raise DexmatchError(
            f"{key}: {_shown(error.filename)}, line {error.lineno}: {error.msg}"
        ) from error
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and f"{module_name}.".startswith(f"{missing}."):
            raise DexmatchError(f"{key} = {name!r}: there is no module {missing}") from error
        raise DexmatchError(f"{key}: {describe(error, module_name)}") from error
    place = _shown(module.__file__)
    function = getattr(module, attribute, None)
    if not callable(function):
        kind = "is no function" if hasattr(module, attribute) else "is not there"
        raise DexmatchError(f"{key} = {name!r}: {attribute} {kind} in {place}")
    try:
        with contextlib.suppress(ValueError):  # Not every function that is built in tells.
            inspect.signature(function).bind(*parameters)
    except TypeError as error:
        raise DexmatchError(
            f"{key}: {name} in {place} must take ({', '.join(parameters)}): {error}"
        ) from error
    return function


def describe(error: BaseException, name: str) -> str:
    """What a function of the user's raised, in one line, with the line of its package it came from.

    Args:
      error: what was raised.
      name: the dotted name of the function, or of its module.
    """
    lines = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    folders = [place.parent for place in _installed_at(package_of(name))]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if any(Path(frame.filename).resolve().is_relative_to(folder) for folder in folders):
            return f"{_shown(frame.filename)}, line {frame.lineno}: {said}"
    return f"{name}: {said}"


def _shown(file: str | None) -> str:
    """A file as the user knows it: no link, and relative to the current folder if it is in it."""
    if not file:
        return "?"
    real = Path(file).resolve()
    return str(real.relative_to(Path.cwd()) if real.is_relative_to(Path.cwd()) else real)

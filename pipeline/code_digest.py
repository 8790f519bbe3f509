"""A digest of the code of ours that a component runs, so that TFX's cache notices its changes.

TFX keys its cache by inputs, parameters and the names of executors and modules, and a name stays
the same when the code behind it changes.
"""

import functools
import hashlib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import grimp

from core.errors import DexmatchError

PACKAGES = (
    "core",
    "recipes",
    "data",
    "results",
    "modules",
    "serving",
    "monitoring",
    "pages",
    "components",
    "pipeline",
)
"""All packages of ours, import-linter's `root_packages`."""

# The colon is that of "module:attribute".
_QUOTED_NAME = re.compile(r"""["']([A-Za-z_]\w*(?:\.\w+)+)["':]""")


def digest_of_code(*modules: str, packages: Iterable[str] = ()) -> str:
    """A hex digest of all source of ours, and of the user's, that runs with some modules.

    That is their own, that of all that they import (inside functions too, but not for type checkers
    only), that of modules which these start or load by name, the `__init__.py` of every package on
    the way, and what else lies in those packages' folders, such as templates. Where the code is
    installed plays no part.

    Args:
      modules: dotted names, such as "modules.trainer".
      packages: the user's, which can be imported.

    Raises:
      ValueError: one of them is no module of ours or of these packages.
    """
    graph = _graph_with(packages)
    if unknown := set(modules) - graph.modules:
        raise ValueError(f"{', '.join(sorted(unknown))}: no module of {', '.join(PACKAGES)}")
    closure = set(modules).union(*map(graph.find_upstream_modules, modules))
    digest = hashlib.sha256()
    for name, path in sorted(_files(closure)):
        digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def modules_named_in(text: str, packages: Iterable[str] = ()) -> set[str]:
    """Modules of ours, and of the user's, that a text names, as it is or in quotes.

    TFX is told what to run in such words: "modules.trainer.run_fn" as a parameter, or
    `"module": "modules.evaluation.metrics"` in the middle of some JSON.

    Args:
      text: a parameter of a component, or the dotted name of its executor.
      packages: see `digest_of_code`.
    """
    return _named(f'"{text}"', _graph_with(packages).modules)


def _graph_with(packages: Iterable[str]) -> grimp.ImportGraph:
    """The import graph of ours and of the user's packages, as these are now."""
    own = tuple(sorted(set(packages) - set(PACKAGES)))
    if own:
        _folder_of.cache_clear()  # Each run finds the user's packages by links of its own.
    # Ours stay as they are while a process runs; the user may well write on in a notebook.
    state = tuple(
        (str(path), path.stat().st_mtime_ns)
        for package in own
        for path in sorted(_folder_of(package).joinpath(package).rglob("*.py"))
    )
    return _import_graph(own, state)


@functools.lru_cache(maxsize=4)
def _import_graph(own: tuple[str, ...], _state: tuple[tuple[str, int], ...]) -> grimp.ImportGraph:
    """Who needs whom among the modules: by import, by name, or as the package it is in."""
    try:
        graph = grimp.build_graph(
            *PACKAGES, *own, exclude_type_checking_imports=True, cache_dir=None
        )
    except grimp.exceptions.SourceSyntaxError as error:
        raise DexmatchError(
            f"{Path(error.filename).resolve()}, line {error.lineno}: invalid syntax"
        ) from error
    modules = frozenset(graph.modules)
    for module in modules:
        needed = _named(_source(module).read_text(encoding="utf-8"), modules)
        if package := module.rpartition(".")[0]:
            needed.add(package)  # Python runs it first.
        for other in needed - {module}:
            graph.add_import(importer=module, imported=other)
    return graph


def _named(text: str, modules: Set[str]) -> set[str]:
    """Modules, or what they hold, whose dotted names stand in quotes."""
    names = set(_QUOTED_NAME.findall(text))
    holders = {name.rpartition(".")[0] for name in names - modules}
    # Of a top-level package nothing is run by name: "data.csv" is a file.
    return names & modules | {holder for holder in holders & modules if "." in holder}


def _files(modules: Set[str]) -> Iterator[tuple[str, Path]]:
    """(name from the top-level package on, place) of what modules are made of."""
    for module in modules:
        source = _source(module)
        beside = _other_files(source.parent) if source.name == "__init__.py" else ()
        for path in (source, *beside):
            yield path.relative_to(_folder_of(module.partition(".")[0])).as_posix(), path


def _source(module: str) -> Path:
    path = _folder_of(module.partition(".")[0]).joinpath(*module.split("."))
    package = path / "__init__.py"
    return package if package.is_file() else path.with_suffix(".py")


@functools.cache
def _folder_of(package: str) -> Path:
    """Where a package lies; found without an import."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"{package} is no package with an __init__.py")
    return Path(spec.origin).parents[1]


def _other_files(package: Path) -> Iterator[Path]:
    """What is no Python in the folder of a package; packages in it have files of their own."""
    for path in package.iterdir():
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_dir():
            if not (path / "__init__.py").is_file():
                yield from _other_files(path)
        elif path.suffix != ".py":
            yield path

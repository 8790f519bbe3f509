"""The user's own components, which the function that `run.components` names adds to ours."""

from collections.abc import Iterable, Sequence

from tfx.dsl.components.base.base_node import BaseNode

from core.config import Config
from core.errors import DexmatchError
from core.user_functions import describe, load_function, package_of

KEY = "run.components"
PARAMETERS = ("nodes", "config")


def packages(config: Config) -> set[str]:
    """The packages of all functions of the user's that a configuration names."""
    return {package_of(name) for name in config.user_functions.values()}


def added(config: Config, ours: Sequence[BaseNode]) -> list[BaseNode]:
    """Ours and the user's.

    Args:
      config: its `run.components` is given all nodes by id, and the configuration.
      ours: all nodes of ours.

    Returns:
      What it returns; ours alone if there is no such function.

    Raises:
      DexmatchError: the function cannot be had, fails, or leaves out one of ours.
    """
    name = config.run.components
    if not name:
        return list(ours)
    function = load_function(KEY, name, PARAMETERS)
    try:
        found = function({node.id: node for node in ours}, config)
    except DexmatchError:
        raise
    except Exception as error:
        raise DexmatchError(f"{KEY}: {describe(error, name)}") from error
    nodes = list(found) if isinstance(found, Iterable) else [found]
    if not all(isinstance(each, BaseNode) for each in nodes):
        raise DexmatchError(f"{KEY} = {name!r}: it must return a list of TFX's components")
    # Commands and reports read what each of them leaves.
    if missing := [node.id for node in ours if node not in nodes]:
        raise DexmatchError(
            f"{KEY} = {name!r}: it leaves out {', '.join(missing)}; return all that it is given, "
            "and yours"
        )
    ids = [node.id for node in nodes]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise DexmatchError(
            f"{KEY} = {name!r}: two components are called {', '.join(twice)}; give one another "
            "name by with_id"
        )
    return nodes

"""Work that takes several requests, all answered by one version of the model."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from core import terminal
from core.errors import DexmatchError

if TYPE_CHECKING:
    from serving.client import Client

_Result = TypeVar("_Result")

_ATTEMPTS = 5
"""Times that the work is begun: who pushes more often than that has something to stop first."""


def of_one_version(client: "Client", work: Callable[[], _Result]) -> _Result:
    """Does the work with the version that answers now, and no other.

    Where that version is unloaded meanwhile, as after a push, the work begins anew with the one
    that answers by then, and says so.

    Args:
      client: is pinned.
      work: asks the client; may be done several times.

    Returns:
      What the work that was done to its end returned.

    Raises:
      DexmatchError: the version was changed again and again, or what the work raises.
    """
    from serving.client import ModelNotFound

    version = client.pin()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return work()
        except ModelNotFound:
            before, version = version, client.pin()
            if version == before:
                raise
        if attempt < _ATTEMPTS:
            terminal.say(
                f"version {before} is served no more; starting anew with version {version}"
            )
    raise DexmatchError(
        f"{client.where}: the served version was changed {_ATTEMPTS} times meanwhile; try again "
        "when it stays"
    )

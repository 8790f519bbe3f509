"""Model servers by name: their command lines, which of them are there, and running one.

Example:
  engine = engines.choose("auto")
  with engines.running(engine, Options("dexmatch", Path("serving_model/dexmatch"))) as server:
      print(server.rest_url, server.grpc_address)
"""

from core.errors import DexmatchError
from serving.engines.binary import Binary
from serving.engines.docker import Docker
from serving.engines.embedded import Embedded
from serving.engines.engine import Engine, Options
from serving.engines.running import Running, running, started, wait_until_available

__all__ = [
    "ENGINES",
    "Engine",
    "Options",
    "Running",
    "choose",
    "missing",
    "running",
    "started",
    "wait_until_available",
]

_ENGINES: tuple[Engine, ...] = (Binary(), Docker(), Embedded())
"""The best first."""
ENGINES = ("auto", *(engine.name for engine in _ENGINES))


def missing() -> dict[str, str | None]:
    """Each engine, the best first, and why it cannot run here, see `Engine.missing`."""
    return {engine.name: engine.missing() for engine in _ENGINES}


def choose(name: str) -> Engine:
    """The engine of that name; `auto` is the first that is there.

    Raises:
      DexmatchError: there is no such engine, or it is not there.
    """
    if name not in ENGINES:
        raise DexmatchError(f"{name}: no engine; choose from {', '.join(ENGINES)}")
    for engine in _ENGINES:
        if name not in ("auto", engine.name):
            continue
        reason = engine.missing()
        if reason is None:
            return engine
        if name == engine.name:
            raise DexmatchError(reason)
    raise AssertionError("the embedded engine is always there")

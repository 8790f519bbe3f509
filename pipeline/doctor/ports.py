"""Whether the ports are free that servers take by default, and who holds them if not."""

import contextlib
import socket
from collections.abc import Iterator

import psutil

from pipeline.commands.app import PORT as APP_PORT
from pipeline.doctor.check import Check, ok, warning
from pipeline.doctor.subject import Subject
from serving.engines.engine import GRPC_PORT, REST_PORT

PORTS = (
    (GRPC_PORT, "gRPC", "dexmatch serve --port auto"),
    (REST_PORT, "REST", "dexmatch serve --rest-port auto"),
    (APP_PORT, "app", "dexmatch app --port auto"),
)
"""Number, what it is for, and how to do without it."""
_HOST = "127.0.0.1"
_OURS = ("serving.server.process", "tensorflow_model_server", "dexmatch")


def checks(subject: Subject) -> Iterator[Check]:
    """See the module."""
    for port, use, instead in PORTS:
        yield look_at(port, use, instead)


def look_at(port: int, use: str, instead: str) -> Check:
    """Looks at one port.

    Args:
      port: its number.
      use: what it is for.
      instead: a command that takes another one.
    """
    name = f"{port} {use}"
    try:
        socket.create_server((_HOST, port)).close()
    except OSError:
        pass
    else:
        return ok(name, "free", port=port, is_free=True)
    holder = _holder(port)
    facts = {"port": port, "is_free": False, "process": holder.pid if holder else None}
    if holder is None:
        return warning(name, "taken by a process that is not yours", _advice(instead), **facts)
    told, is_ours = _described(holder)
    if is_ours:
        return ok(name, f"taken by {told}, which is of dexmatch", **facts)
    return warning(name, f"taken by {told}", _advice(instead), **facts)


def _advice(instead: str) -> str:
    return f"end it, or take another port: {instead}"


def _holder(port: int) -> psutil.Process | None:
    """The process that listens there; None where the system does not tell."""
    with contextlib.suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
                return psutil.Process(each.pid)
    return None


def _described(process: psutil.Process) -> tuple[str, bool]:
    """A process by name and number, and whether it is one of ours.

    The rest of its command line is nobody's business: there may be passwords in it.
    """
    name, words = "a process", []
    with contextlib.suppress(psutil.Error):
        name, words = process.name(), process.cmdline()
    is_ours = any(word.rpartition("/")[2] in _OURS for word in words)
    return f"{name} (process {process.pid})", is_ours

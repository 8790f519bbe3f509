"""Whether MLMD's database is whole, or the server that takes its place lets us in."""

import sqlite3
from contextlib import closing
from pathlib import Path

from core.errors import DexmatchError
from pipeline.doctor.check import Check, of_error, ok, one_line, problem, warning
from results import connections, ownership
from results.shared_store import SharedStore
from results.workspace import Workspace

_BUSY_S = 5.0
_BROKEN = (
    "put back a copy of it, or move it away: the next run makes a new one and knows no earlier run"
)


def look_at(workspace: Workspace) -> Check:
    """Asks SQLite, on a connection that cannot write, or the server.

    Args:
      workspace: whose records they are; there need be none.

    Returns:
      A check whose fact `is_whole` says whether MLMD may open the database and leave it as it is.
    """
    if workspace.shared is not None:
        return _server(workspace, workspace.shared)
    return _file(workspace.metadata)


def _server(workspace: Workspace, shared: SharedStore) -> Check:
    # MLMD makes its tables where there are none; those of a workspace that has records are there.
    has_records = ownership.is_claimed(workspace)
    try:
        if has_records:
            connections.opened(workspace.metadata, shared)
        else:
            shared.check_it_answers()
    except DexmatchError as error:
        return of_error("database", error, is_whole=False)
    return ok("database", f"{shared.url} answers", is_whole=has_records)


def _file(path: Path) -> Check:
    if not path.exists():
        return ok("database", "none yet", is_whole=True)
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as connection:
            told = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
    except sqlite3.Error as error:
        found = f"{path}: {one_line(error)}"
        # Whoever may write rolls back at once what was cut off.
        if isinstance(error, sqlite3.OperationalError) and _journal(path).exists():
            advice = "if no run is at work, one was killed: the next one makes it good"
            return warning("database", found, advice, is_whole=False)
        return problem("database", found, _BROKEN, is_whole=False)
    if told != ["ok"]:
        reason = next(iter(told[0].splitlines()[-1:]), "damaged")
        return problem("database", f"{path}: {reason}", _BROKEN, is_whole=False)
    size = path.stat().st_size
    return ok("database", f"whole, {size / 1e6:,.1f} MB", is_whole=True, bytes=size)


def _journal(path: Path) -> Path:
    """What SQLite has there while something is written."""
    return path.with_name(f"{path.name}-journal")

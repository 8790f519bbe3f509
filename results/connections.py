"""Connections to MLMD's database: a workspace's SQLite file, or a server that pipelines share."""

import contextlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from core.database_url import PASSWORD_VARIABLE
from core.errors import DexmatchError
from results.shared_store import SharedStore

# Who comes while another makes the tables must come again.
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)
_LASTS = ("denied", "Unknown database")


def opened(file: Path, shared: SharedStore | None) -> metadata_store.MetadataStore:
    """Opens a pipeline's records; if there is no file, they are empty.

    Args:
      file: the SQLite file.
      shared: what takes its place, if anything does.

    Raises:
      DexmatchError: the server is away or lets us not in.
    """
    if shared is not None:
        return _opened(shared)
    connection = mlmd.ConnectionConfig()
    if file.exists():
        connection.sqlite.filename_uri = str(file)
        connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE
    else:
        connection.fake_database.SetInParent()  # In memory.
    return metadata_store.MetadataStore(connection)


def of_server(shared: SharedStore) -> mlmd.ConnectionConfig:
    """What MLMD must be told of a server; the password, which TFX would log, is not in it."""
    url = shared.url
    connection = mlmd.ConnectionConfig()
    connection.mysql.host = shared.host
    connection.mysql.port = url.port
    connection.mysql.user = url.user
    connection.mysql.database = url.database
    connection.mysql.skip_db_creation = True
    return connection


def _opened(shared: SharedStore) -> metadata_store.MetadataStore:
    shared.give_password()
    shared.check_it_answers()
    for pause in (*_PAUSES_S, None):
        try:
            with _without_its_log():
                return metadata_store.MetadataStore(of_server(shared))
        except RuntimeError as error:
            told = str(error)
            if "mysql_real_connect" in told:
                how = f"file {shared.password_file}" if shared.password_file else PASSWORD_VARIABLE
                raise DexmatchError(
                    f"run.metadata: {shared.url.address} does not let user {shared.url.user!r} in: "
                    f"look at the password ({how}), and whether the account has one that "
                    "mysql_native_password checks"
                ) from error
            if pause is None or any(each in told for each in _LASTS):
                reason = told.rpartition(", error: ")[2].strip()
                raise DexmatchError(f"run.metadata: {shared.url}: {reason}") from error
            time.sleep(pause * random.uniform(0.5, 1.5))
    raise AssertionError("the last try returns or raises")


@contextlib.contextmanager
def _without_its_log() -> Iterator[None]:
    """Throws away what MLMD's C++ writes to standard error: the exception says the same."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

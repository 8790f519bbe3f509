"""Database servers of Debian's packages, each started for itself in a folder, on loopback."""

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_STARTS_IN_S = 120
_NOBODY = 65534


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
      port: of TCP, on loopback.
      process: ends at the end of the block.
    """

    port: int
    process: subprocess.Popen


def mariadbd() -> str | None:
    """The program; None if it is not installed."""
    return shutil.which("mariadbd", path=_path())


def postgres() -> str | None:
    """The program; None if it is not installed."""
    versions = glob.glob("/usr/lib/postgresql/*/bin")
    return shutil.which("postgres", path=os.pathsep.join([*versions, _path()]))


@contextlib.contextmanager
def mariadb(folder: Path, statements: str) -> Iterator[Server]:
    """Starts MariaDB.

    Args:
      folder: an empty folder.
      statements: SQL that is run once, before.
    """
    program = Path(mariadbd()).resolve()
    scripts = program.parents[1] / "share" / "mysql"
    port = _free_port()
    command = [
        str(program),
        "--no-defaults",
        f"--basedir={program.parents[1]}",
        f"--datadir={folder}/data",
        f"--lc-messages-dir={scripts}",
        "--innodb-buffer-pool-size=16M",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-log-file-size=4M",
        *(["--user=root"] if os.getuid() == 0 else []),
    ]
    (folder / "data").mkdir()
    system = [(scripts / f"mysql_system_tables{part}.sql").read_text() for part in ("", "_data")]
    made = ["CREATE DATABASE mysql;", "USE mysql;", "SET @auth_root_socket=NULL;", *system]
    subprocess.run(
        [*command, "--bootstrap"],
        input="\n".join([*made, "FLUSH PRIVILEGES;", statements]),
        text=True,
        check=True,
        capture_output=True,
    )
    listening = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder}/socket"]
    with _running([*command, *listening], folder, port) as server:
        yield server


@contextlib.contextmanager
def postgresql(user: str) -> Iterator[Server]:
    """Starts PostgreSQL, which lets a user into its database `postgres` without a password.

    It refuses to run as root: then it is `nobody`, who has no way into pytest's own folders.
    """
    program = Path(postgres())
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="postgresql-") as name:
        folder = Path(name)
        other = {}
        if os.getuid() == 0:
            other = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(folder, _NOBODY, _NOBODY)
        initdb = [str(program.parent / "initdb"), f"--pgdata={folder}/data", f"--username={user}"]
        subprocess.run(
            [*initdb, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"],
            check=True,
            capture_output=True,
            cwd=folder,
            **other,
        )
        command = [str(program), "-D", f"{folder}/data", "-p", str(port), "-h", "127.0.0.1"]
        with _running([*command, "-k", name, "-F"], folder, port, **other) as server:
            yield server


@contextlib.contextmanager
def _running(command: list[str], folder: Path, port: int, **other: object) -> Iterator[Server]:
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder, **other)
    try:
        deadline = time.monotonic() + _STARTS_IN_S
        while not _answers(port):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Server(port, process)
    finally:
        # At once, but with the processes that it has started.
        process.send_signal(signal.SIGQUIT if "postgres" in command[0] else signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])

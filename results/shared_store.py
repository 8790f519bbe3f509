"""A database server in which several pipelines keep the records of their runs.

The password is never part of what TFX is told, because it writes all of that to its log: MySQL's
client takes it from the environment of the process.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from core.config import SQLITE
from core.database_url import PASSWORD_VARIABLE, DatabaseUrl
from core.errors import DexmatchError

_ANSWERS_IN_S = 10.0
# What a server says first: three bytes of length, a number, and its protocol or that it refuses.
_HEADER, _PROTOCOL, _REFUSES = 4, 10, 255


@dataclass(frozen=True)
class SharedStore:
    """One pipeline's share of a database.

    Attributes:
      url: the database.
      pipeline: the name by which the pipeline is known in it.
      password_file: absolute path; None if the password is in the environment, or there is none.
    """

    url: DatabaseUrl
    pipeline: str
    password_file: Path | None = None

    @classmethod
    def from_setting(
        cls, setting: str, pipeline: str, password_file: str = ""
    ) -> "SharedStore | None":
        """What `run.metadata` names; None if that is a file in the workspace."""
        if setting == SQLITE:
            return None
        file = Path(password_file).absolute() if password_file else None
        return cls(DatabaseUrl.parse(setting), pipeline, file)

    @property
    def host(self) -> str:
        """For the client, to which "localhost" would be a Unix socket."""
        return "127.0.0.1" if self.url.host == "localhost" else self.url.host

    def give_password(self) -> None:
        """Puts the password where the client looks for it.

        Raises:
          DexmatchError: the file cannot be read, or holds no password.
        """
        if self.password_file is None:
            return
        try:
            text = self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DexmatchError(
                f"run.metadata_password_file: {self.password_file} cannot be read: "
                f"{getattr(error, 'strerror', None) or 'it is no text'}"
            ) from error
        if not text or set(text) & set("\r\n\0"):
            raise DexmatchError(
                f"run.metadata_password_file: {self.password_file} must hold the password alone, "
                "in one line"
            )
        os.environ[PASSWORD_VARIABLE] = text

    def check_it_answers(self) -> None:
        """Looks whether a server is there; the client itself would wait without an end.

        Raises:
          DexmatchError: none answers within ten seconds, or it lets nobody in.
        """
        place = f"run.metadata: {self.url.address}"
        try:
            with socket.create_connection((self.host, self.url.port), _ANSWERS_IN_S) as connection:
                said = connection.recv(512)
        except OSError as error:
            raise DexmatchError(
                f"{place}: no database server answers there ({error.strerror or error}); start it, "
                "or correct host and port"
            ) from error
        kind = said[_HEADER] if len(said) > _HEADER else None
        if kind == _REFUSES:
            reason = said[_HEADER + 3 :].decode("utf-8", "replace").strip()
            raise DexmatchError(f"{place}: the database server refuses: {reason}")
        if kind != _PROTOCOL:
            raise DexmatchError(f"{place}: what answers there is no MySQL or MariaDB server")

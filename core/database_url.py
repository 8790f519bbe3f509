"""Where a database server is: `mysql://USER@HOST:PORT/DATABASE`, without a password."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

PASSWORD_VARIABLE = "MYSQL_PWD"
"""The environment variable in which MySQL's and MariaDB's clients look for the password."""

_FORM = "mysql://USER@HOST:PORT/DATABASE"
_PORT = 3306


@dataclass(frozen=True)
class DatabaseUrl:
    """A MySQL or MariaDB database, and who uses it.

    Attributes:
      user: name of the account.
      host: name or address.
      port: of TCP.
      database: name, of ASCII letters, digits and `_`.
    """

    user: str
    host: str
    port: int
    database: str

    @classmethod
    def parse(cls, text: str) -> "DatabaseUrl":
        """Reads one; without a port it is 3306.

        Raises:
          ValueError: it is none, or holds a password. The message, which does not repeat the text,
            says what to do.
        """
        try:
            parts = urlsplit(text)
        except ValueError:
            # Its own message would repeat the text.
            raise ValueError(f'must be "sqlite" or {_FORM}') from None
        if parts.scheme in ("postgres", "postgresql"):
            raise ValueError(
                "PostgreSQL will not do: ML Metadata cannot write a text with a backslash to it, "
                f"and every run has some; use MySQL or MariaDB, as in {_FORM}"
            )
        if parts.password is not None:
            raise ValueError(
                "has a password in it, which logs would repeat; leave it out, and set the "
                f"environment variable {PASSWORD_VARIABLE} or run.metadata_password_file"
            )
        try:
            port = parts.port if parts.port is not None else _PORT
        except ValueError:
            raise ValueError(f"must have a port from 1 to 65535, as in {_FORM}") from None
        if parts.scheme != "mysql" or not (parts.username and parts.hostname):
            raise ValueError(f'must be "sqlite" or {_FORM}')
        if parts.query or parts.fragment:
            raise ValueError(f"must end with the name of the database, as in {_FORM}")
        database = parts.path.removeprefix("/")
        if not re.fullmatch(r"[A-Za-z0-9_]+", database):
            raise ValueError(
                "must end with the name of a database of letters, digits and _, as in " + _FORM
            )
        return cls(unquote(parts.username), parts.hostname, port, database)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"mysql://{quote(self.user)}@{self.address}/{self.database}"

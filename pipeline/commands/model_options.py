"""Options that the commands which ask a model share, and what they stand for."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.config import Config
from core.errors import DexmatchError

if TYPE_CHECKING:
    from serving.client import Client

NOT_ALL_JUDGED = 4
"""Exit status where all was done but for pictures or captions that cannot be judged."""

ServerOption = Annotated[
    str | None,
    typer.Option(
        help="Ask this server: http://HOST:8501 (REST) or grpc://HOST:8500; https:// or grpcs:// "
        "over TLS. The model is the one named as run.name, in the version that is served when the "
        "command begins.",
        metavar="URL",
        show_default="none",
        rich_help_panel="Which model",
    ),
]
ClientCertificateOption = Annotated[
    Path | None,
    typer.Option(
        help="Show this certificate (PEM) to a server that demands one over TLS.",
        metavar="FILE",
        show_default="none",
        rich_help_panel="Which model",
    ),
]
ClientKeyOption = Annotated[
    Path | None,
    typer.Option(
        help="The private key of --client-certificate (PEM, without a password).",
        metavar="FILE",
        show_default="none",
        rich_help_panel="Which model",
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Load this SavedModel, or the highest version in this folder.",
        metavar="FOLDER",
        show_default="the model that the configuration pushes",
        rich_help_panel="Which model",
    ),
]

_DEADLINE_S = 120.0
"""Of one request, which may hold dozens of large pictures."""
_ATTEMPTS = 4
"""Enough for a server that is busy; who named a wrong port should not wait long."""


def open_chosen(
    settings: Config,
    server: str | None,
    model: Path | None,
    client_certificate: Path | None,
    client_key: Path | None,
    deadline_s: float = _DEADLINE_S,
) -> "Client":
    """The model that the options name; without any, the pushed one.

    Args:
      settings: name the model, and where it is pushed.
      server: see `ServerOption`.
      model: see `ModelOption`.
      client_certificate: see `ClientCertificateOption`.
      client_key: see `ClientKeyOption`.
      deadline_s: seconds that a call may take.

    Raises:
      DexmatchError: options that do not go together are given, or there is no such model.
    """
    if server and model:
        raise DexmatchError("--server and --model: name one of them")
    if (client_certificate is None) != (client_key is None):
        raise DexmatchError("--client-certificate and --client-key: name both or none")
    if client_certificate and not server:
        raise DexmatchError("--client-certificate: is shown to a --server; name one")
    from pipeline import logs
    from results.workspace import Workspace
    from serving.client import (
        SCHEMES,
        ClientCertificate,
        Retries,
        Settings,
        open_model,
        without_login,
    )

    if server and not server.startswith(SCHEMES):
        raise DexmatchError(f"--server {without_login(server)}: begin with {', '.join(SCHEMES)}")
    shown = (
        ClientCertificate(client_certificate, client_key)
        if client_certificate and client_key
        else None
    )
    with logs.hushed():
        return open_model(
            server or model or Workspace.from_config(settings).serving,
            settings.run.name,
            Settings(
                deadline_s=deadline_s,
                retries=Retries(attempts=_ATTEMPTS),
                client_certificate=shown,
            ),
        )


def picture_names(arguments: Iterable[str]) -> list[str]:
    """The arguments, with the lines of standard input in the place of each "-"."""
    names: list[str] = []
    for argument in arguments:
        if argument == "-":
            names += [line for line in sys.stdin.read().splitlines() if line]
        else:
            names.append(argument)
    if not names:
        raise DexmatchError("no pictures: name files or folders, or - to read names from stdin")
    return names


def read_captions(path: Path) -> list[str]:
    """The lines of a file, without the blank ones.

    Raises:
      DexmatchError: it cannot be read, or holds none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DexmatchError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DexmatchError(f"{path}: not UTF-8 (byte {error.start}); save it as such") from error
    captions = [line.strip() for line in lines if line.strip()]
    if not captions:
        raise DexmatchError(f"{path}: holds no captions; write one a line")
    return captions

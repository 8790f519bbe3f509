"""`dexmatch app`."""

import logging
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core import terminal
from core.errors import DexmatchError
from pipeline.commands.model_options import (
    ClientCertificateOption,
    ClientKeyOption,
    ModelOption,
    ServerOption,
    open_chosen,
    read_captions,
)
from pipeline.commands.run import ConfigOption, SetOption, load_config
from pipeline.commands.search import index_file, load_index, pictures_in
from pipeline.commands.serve import port_number

if TYPE_CHECKING:
    from serving.search.index import Index

PORT = 8601
_DEADLINE_S = 30.0
"""Of one call: somebody waits for it."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def app(
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of pictures to search; those below it count too.",
            show_default="no search",
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to keep what the model makes of the pictures, as `dexmatch search` does.",
            show_default=".dexmatch-index.npz in DIR",
        ),
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Captions to choose tags from, one a line, in UTF-8.",
            show_default="no tags",
        ),
    ] = None,
    feedback: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where verdicts are kept, with their pictures."),
    ] = Path("datasets/feedback"),
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Probability from which a caption counts as right.",
            show_default="the one that the served version was blessed with",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Whoever reaches it can ask the model, see the pictures of "
            "the folder, and add verdicts."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        str, typer.Option(help="[bold]auto[/] for any that is free.", metavar="PORT")
    ] = str(PORT),
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    server: ServerOption = None,
    client_certificate: ClientCertificateOption = None,
    client_key: ClientKeyOption = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Opens a page to try the model on, until Ctrl-C.

    Drop a picture and type captions: how likely each is, and which words and which part of the
    picture carry the answer. Search a folder by a caption, or by a picture. Say where the model is
    wrong: your verdicts are kept for `dexmatch data import`. Nothing leaves this machine but what
    a --server is asked.

    Examples:

        dexmatch app --open

        dexmatch app --images photos/ --captions tags.txt

        dexmatch app --server http://localhost:8501
    """
    if index and not images:
        raise DexmatchError("--index: is that of a folder of pictures; name it by --images")
    number = port_number(port, "--port")
    settings = load_config(config, set_)
    choices = list(dict.fromkeys(read_captions(captions))) if captions else []
    # These, and the web server, take longer to load than the help takes to print.
    from pages.app.context import Context
    from pages.app.folder import Folder
    from pages.app.model import Model
    from pages.app.server import serve
    from pages.app.tags import Tags
    from pages.app.thresholds import Thresholds
    from pages.app.verdicts import Verdicts
    from pipeline import logs
    from results.metadata import Metadata
    from results.workspace import Workspace
    from serving.server import http

    kept = Verdicts(feedback)
    kept.count()  # A damaged log should not come out with the first verdict.
    searched = _searched(images, index) if images else None
    with logs.hushed():
        # What looks at pictures loads TensorFlow, which the first one need not wait for.
        from data import tensorflow_decoder  # noqa: F401
    with (
        http.listen(host, number) as listener,
        open_chosen(settings, server, model, client_certificate, client_key, _DEADLINE_S) as client,
    ):
        asked = Model(client)
        folder = Folder(images, *searched, asked) if images and searched else None
        workspace = Workspace.from_config(settings)
        thresholds = Thresholds(
            lambda: Metadata.of(workspace), settings.evaluator.threshold, threshold
        )
        tags = Tags(choices, asked) if choices else None
        context = Context(settings.run.name, asked, thresholds, folder, tags, kept)
        url = f"http://{_in_url(host)}:{listener.getsockname()[1]}"
        terminal.say(f"{settings.run.name}, version {asked.version}: {url} (Ctrl-C ends it)")
        if host not in _LOOPBACK:
            terminal.say("Whoever reaches this address can use the page; there is no login.")
        logging.getLogger("uvicorn.error").setLevel("ERROR")
        if open_ and not webbrowser.open(url):
            terminal.say("found no browser to open it with")
        serve(context, host, listener)
    terminal.say("stopped")


def _searched(images: Path, index: Path | None) -> "tuple[list[Path], Path, Index | None]":
    """The pictures of a folder, where its index is to be, and the index that is there.

    Raises:
      DexmatchError: there is no such folder, no picture in it, or the index is damaged.
    """
    found = pictures_in(images)
    file = index_file(images, index)
    return found, file, load_index(file, images)


def _in_url(host: str) -> str:
    """The host as a browser on this machine asks for it."""
    if host in ("0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if ":" in host else host

"""`dexmatch serve`."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from core import terminal
from core.errors import DexmatchError
from pipeline.commands.run import ConfigOption, SetOption, load_config
from results import versions
from results.workspace import Workspace

_LOADING_S = 600.0


def serve(
    config: ConfigOption = None,
    set_: SetOption = None,
    engine: Annotated[
        str,
        typer.Option(
            help="[bold]tensorflow_model_server[/], [bold]docker[/], [bold]embedded[/] (for "
            "development), or [bold]auto[/]: the first of them that is there."
        ),
    ] = "auto",
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder that holds the versions of a model; its name is the model's name.",
            show_default="<pusher.directory>/<run.name>",
            metavar="FOLDER",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for every network.")
    ] = "127.0.0.1",
    port: Annotated[
        str, typer.Option(help="For gRPC; [bold]auto[/] for any that is free.", metavar="PORT")
    ] = "8500",
    rest_port: Annotated[
        str, typer.Option(help="For REST; [bold]auto[/] for any that is free.", metavar="PORT")
    ] = "8501",
    batching: Annotated[
        bool, typer.Option(help="Join requests, as batching.config beside the model says.")
    ] = True,
    log_requests: Annotated[
        Path | None,
        typer.Option(
            help="Write requests with their answers to this TFRecord file, for `dexmatch monitor`; "
            "for the embedded engine. It holds the pictures and captions of whoever asks.",
            metavar="FILE",
            show_default="no log",
        ),
    ] = None,
    log_sampling: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the requests that are logged.")
    ] = 0.01,
    ssl_config: Annotated[
        Path | None,
        typer.Option(
            help="Encrypt gRPC with the key and certificate in this file (SSLConfig, text proto). "
            "REST is never encrypted: put a proxy in front of it.",
            metavar="FILE",
            show_default="no TLS",
        ),
    ] = None,
    cors: Annotated[
        bool, typer.Option("--cors", help="Let web pages of other origins ask over REST.")
    ] = False,
    poll_seconds: Annotated[
        int, typer.Option(min=1, help="Between two looks for a newly pushed version.")
    ] = 1,
) -> None:
    """Serves the pushed model over REST and gRPC, until Ctrl-C.

    A newly pushed version is served as soon as it is found, without losing a request. What clients
    send and get is the same for every engine.

    Examples:

        dexmatch serve

        dexmatch serve --engine docker --host 0.0.0.0

        dexmatch serve --model exported/mine --port auto --rest-port auto

        dexmatch serve --engine embedded --log-requests requests.tfrecord --log-sampling 0.05
    """
    folder = (model or Workspace.from_config(load_config(config, set_)).serving).resolve()
    if versions.served(versions.list_versions(folder)) is None:
        raise DexmatchError(f"{folder}: no pushed model yet; make one with `dexmatch run`")
    # TensorFlow's protos take longer to load than the help takes to print.
    from serving import engines, files

    chosen = engines.choose(engine)
    if log_requests and not chosen.logs_requests:
        raise DexmatchError(
            f"--log-requests: {chosen.name} writes no log of requests; use --engine embedded"
        )

    def beside(name: str) -> Path | None:
        path = folder.parent / name
        return path if path.is_file() else None

    options = engines.Options(
        model_name=folder.name,
        base_path=folder,
        host=host,
        grpc_port=port_number(port, "--port"),
        rest_port=port_number(rest_port, "--rest-port"),
        models_config=_naming(folder.name, beside(files.MODELS)),
        batching_config=beside(files.BATCHING) if batching else None,
        monitoring_config=beside(files.MONITORING),
        ssl_config=ssl_config,
        poll_seconds=poll_seconds,
        cors=cors,
        request_log=log_requests,
        request_log_sampling=log_sampling,
    )
    if options.batching_config:
        files.read_batching(options.batching_config)
    if options.monitoring_config:
        files.read_monitoring(options.monitoring_config)
    if options.ssl_config:
        files.read_ssl(options.ssl_config)
    # SIGTERM would end this process before it could stop the server.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with engines.started(chosen, options, echo=terminal.say) as server:
        terminal.say(_introduction(chosen.name))
        if not chosen.heeds_host:
            terminal.say("It listens on every network of this machine, whatever --host says.")
        engines.wait_until_available(chosen, server, folder.name, _LOADING_S)
        url = f"{server.rest_url}/v1/models/{folder.name}"
        over_tls = " over TLS" if ssl_config else ""
        terminal.say(f"{folder.name}: REST at {url}, gRPC at {server.grpc_address}{over_tls}")
        body = (
            '{"instances": [{"image": {"b64": "\'$(base64 -w0 FILE)\'"}, "caption": "a red bird"}]}'
        )
        terminal.say(f"Try: curl -d '{body}' {url}:predict")
        try:
            # A plain wait() would not let signals through while it holds the lock.
            while server.process.poll() is None:
                threading.Event().wait(0.2)
        except KeyboardInterrupt:
            terminal.say("stopping, once the requests under way are answered")
            return
        raise DexmatchError(f"{chosen.name} ended: {server.last_lines()}")


def port_number(text: str, option: str) -> int:
    """The number of a port; 0 for any that is free.

    Args:
      text: what the user wrote.
      option: the name of the option, for the message.

    Raises:
      DexmatchError: it is no port.
    """
    if text == "auto":
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 1 << 16):
        raise DexmatchError(
            f"{option} {text}: no port; a number from 1 to 65535, or `auto` for any that is free"
        )
    return int(text)


def _naming(name: str, path: Path | None) -> Path | None:
    """The models.config, if it says something about this model."""
    from serving import files

    if path and name in {known.name for known in files.read_models(path).model_config_list.config}:
        return path
    return None


def _introduction(engine: str) -> str:
    if engine == "embedded":
        return (
            "Engine: embedded, which is for development; in production use "
            "tensorflow_model_server or docker (serving_model/compose.yaml)."
        )
    return f"Engine: {engine}"

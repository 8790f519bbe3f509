"""Serves the page until it is told to stop."""

import asyncio
import signal
import socket

from pages.app.context import Context
from pages.app.routes import create_app
from serving.server import http

_DRAIN_S = 3


def serve(context: Context, host: str, listener: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM, while the folder is encoded.

    Args:
      context: what the app has.
      host: the name that the app listens on.
      listener: see `http.listen`.
    """
    server = http.create_server(create_app(context, host), _DRAIN_S)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, setattr, server, "should_exit", True)
        await server.serve(sockets=[listener])

    if context.folder:
        context.folder.start()
    try:
        asyncio.run(run())
    finally:
        if context.folder:
            context.folder.stop()

"""The HTTP server that runs the REST API: uvicorn, with limits for clients that are slow or mad."""

import asyncio
import contextlib
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BACKLOG = 1024
"""Connections that may wait to be accepted."""
KEEP_ALIVE_S = 75
"""Seconds that a connection stays open without a request; longer than most clients' pools keep
theirs, so that it is they who close."""
MAX_CONNECTIONS = 2048
"""Connections and requests; beyond, the answer is 503."""
MAX_HEAD_BYTES = 64 << 10
"""Of a request's first line and headers."""
HEAD_S = 30.0
"""Seconds in which the head of a request must have come."""


def create_server(app: Starlette, drain_s: int) -> uvicorn.Server:
    """A server that has not started; `serve(sockets=[...])` runs it on the sockets given.

    It writes no access log, and leaves signals and logging to the process.

    Args:
      app: see `rest.create_app`.
      drain_s: seconds that requests under way have to end once the server is told to stop.

    Example:
      server = create_server(app, drain_s=30)
      task = asyncio.create_task(server.serve(sockets=[socket]))
      server.should_exit = True
      await task
    """
    return _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            loop="none",
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=drain_s,
        )
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # SIGTERM drains gRPC too, so the process handles it.
        yield


class _Protocol(HttpToolsProtocol):
    """uvicorn has no limit for the head of a request, neither of bytes nor of time."""

    _head_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        in_head = self._timer is not None
        super().data_received(data)
        if in_head and self._timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._start_timer()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        super().on_headers_complete()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_timer(self) -> None:
        self._head_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

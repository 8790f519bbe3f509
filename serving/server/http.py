"""The HTTP server that runs the REST API: uvicorn, with limits for clients that are slow or mad."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from core.errors import DexmatchError

BACKLOG = 1024
"""Connections that may wait to be accepted."""
KEEP_ALIVE_S = 75
"""Seconds that a connection stays open without a request; longer than most clients' pools keep
theirs, so that it is they who close."""
MAX_CONNECTIONS = 2048
"""Open at a time. For one more, the one that has been waiting longest for its client is closed; if
none is, the answer is 503."""
MAX_HEAD_BYTES = 64 << 10
"""Of a request's first line and headers."""
HEAD_S = 30.0
"""Seconds in which the head of a request must have come."""
LINGER_S = 30.0
"""Seconds in which the rest of a body must have come that was refused before its end."""


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
            # Not a type, which would do as well: each server has connections of its own.
            http=functools.partial(_Protocol, {}),  # type: ignore[arg-type]
            loop="none",
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            limit_concurrency=MAX_CONNECTIONS + 1,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=drain_s,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket to serve on; port 0 is any that is free.

    Raises:
      DexmatchError: the port is taken, or the host has no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise DexmatchError(f"cannot listen on {host}:{port}: {error.strerror}") from error


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # SIGTERM drains gRPC too, so the process handles it.
        yield


class _Protocol(HttpToolsProtocol):
    """uvicorn has no limit for the head of a request, neither of bytes nor of time, nor for clients
    that do nothing. Nor does it tell any but the newest of pipelined requests that their client has
    gone.

    Args:
      waiting: all connections of the server from which something has to come, the one that has
        been waiting longest first.
      settings: uvicorn's.
    """

    def __init__(self, waiting: dict["_Protocol", None], **settings: Any):
        super().__init__(**settings)
        self._waiting = waiting
        self._pipelined: tuple[RequestResponseCycle, ...] = ()
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS and self._waiting:
            next(iter(self._waiting))._give_room()
        self._wait()
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.pop(self, None)
        self._stop_head()
        self._stop_rest()
        self.pipeline.clear()
        for cycle in self._pipelined:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        in_head = self._head_timer is not None
        super().data_received(data)
        if in_head and self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait()
        self._start_head()

    def on_headers_complete(self) -> None:
        self._stop_head()
        super().on_headers_complete()
        under_way = (cycle for cycle in self._pipelined if not cycle.response_complete)
        self._pipelined = (*under_way, self.cycle)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop_rest()
        if not self.cycle.response_complete:
            self._waiting.pop(self, None)

    def on_response_complete(self) -> None:
        is_next_here = bool(self.pipeline)
        super().on_response_complete()
        if is_next_here or self.transport.is_closing():
            return
        self._wait()
        if self.cycle.more_body:
            self._rest_timer = self.loop.call_later(LINGER_S, self._give_up)

    def _wait(self) -> None:
        """From now on it is the client's turn."""
        self._waiting.pop(self, None)
        self._waiting[self] = None

    def _give_room(self) -> None:
        self._waiting.pop(self, None)
        self.connections.discard(self)
        self._give_up()

    def _start_head(self) -> None:
        self._stop_head()
        self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_rest(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():
            # Closing would wait until the answer is sent, to someone who does not read it.
            self.transport.abort()
        else:
            self.transport.close()

"""Messages over gRPC, read a few at a time and within the budget of the server.

gRPC itself reads the messages of all calls at once, each up to the limit, and only then asks what
becomes of them. Here a call is taken up without its message, waits for its turn, and reads.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from serving.server.budget import Budget
from serving.server.errors import ServingError
from serving.server.servable import off_loop

MOST = 16
"""Messages that are read at a time."""
READ_S = 30.0
"""Seconds in which a message must have come."""
GRACE_S = 2.0
"""Seconds that a message may take while others wait for their turn."""


class Reading(grpc.aio.ServerInterceptor):
    """Reads the messages of calls with one message and one answer.

    What is not read in time is answered DEADLINE_EXCEEDED; what is over the budget,
    RESOURCE_EXHAUSTED.

    Args:
      budget: what all requests may hold.
    """

    def __init__(self, budget: Budget):
        self._budget = budget
        self._turns = asyncio.Semaphore(MOST)
        self._waiting = 0
        self._wanted = asyncio.Event()
        """Whether someone waits for a turn."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """See `grpc.aio.ServerInterceptor`."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming or handler.response_streaming:
            return handler

        async def answer(_: Any, context: grpc.aio.ServicerContext) -> Message:
            try:
                with self._budget.share() as share:
                    content = await self._read(context)
                    size = len(content)
                    share.add_bytes(size)
                    message = await off_loop(size, handler.request_deserializer, content)
            except ServingError as error:
                await context.abort(error.code, error.message)
            del content
            return await handler.unary_unary(message, context)

        return grpc.stream_unary_rpc_method_handler(
            answer, response_serializer=handler.response_serializer
        )

    async def _read(self, context: grpc.aio.ServicerContext) -> bytes:
        await self._take_turn()
        reading = asyncio.ensure_future(context.read())
        try:
            await asyncio.wait([reading], timeout=GRACE_S)
            if not reading.done():
                wanted = asyncio.ensure_future(self._wanted.wait())
                await asyncio.wait(
                    [reading, wanted],
                    timeout=READ_S - GRACE_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                wanted.cancel()
        finally:
            self._turns.release()
        if not reading.done():
            # It ends with the call.
            reading.add_done_callback(_look_at)
            raise ServingError(
                grpc.StatusCode.DEADLINE_EXCEEDED, "The message came too slowly; try again"
            )
        content = reading.result()
        if content is grpc.aio.EOF:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "The call has no message")
        return bytes(content)

    async def _take_turn(self) -> None:
        self._waiting += 1
        if self._turns.locked():
            self._wanted.set()
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._wanted.clear()


def _look_at(reading: asyncio.Future[Any]) -> None:
    """Keeps asyncio from telling of errors that nobody waits for."""
    if not reading.cancelled():
        reading.exception()

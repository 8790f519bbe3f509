"""The standard gRPC health service, https://github.com/grpc/grpc/blob/master/doc/health-checking.md.

The package grpcio-health-checking asks for a newer protobuf than TFX can live with.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from serving.protos import HealthCheckRequest, HealthCheckResponse

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
NAMES = ("", "ModelService", "PredictionService")
"""The empty name is the server as a whole; the others are those of tensorflow_model_server."""


class Health:
    """Whether the server takes requests; the same for all names."""

    def __init__(self) -> None:
        self._status = NOT_SERVING
        self._changed = asyncio.Condition()

    @property
    def _is_serving(self) -> bool:
        return self._status == SERVING

    async def set(self, status: int) -> None:
        """Tells everyone who asks, and everyone who watches."""
        async with self._changed:
            self._status = status
            self._changed.notify_all()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers the service."""
        codec = {
            "request_deserializer": HealthCheckRequest.FromString,
            "response_serializer": HealthCheckResponse.SerializeToString,
        }
        handlers = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, **codec),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, **codec),
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers),)
        )

    async def _check(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        if request.service not in NAMES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return HealthCheckResponse(status=self._status)

    async def _watch(self, request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        told = None
        # It ends with the server: a stream that stays open would hold up the draining.
        while told is None or self._is_serving:
            told = self._status if request.service in NAMES else SERVICE_UNKNOWN
            yield HealthCheckResponse(status=told)
            async with self._changed:
                while self._status == told or (told == SERVICE_UNKNOWN and self._is_serving):
                    await self._changed.wait()

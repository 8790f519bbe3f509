"""The gRPC API: PredictionService, ModelService and, if asked for, the standard health service."""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.server import methods, tensors
from serving.server.core import ServerCore
from serving.server.errors import ServingError, invalid
from serving.server.grpc_reading import Reading
from serving.server.health import Health
from serving.server.servable import off_loop

SIGNATURE_DEF = "signature_def"
_MAX_PENDING = 1 << 20
_LONGEST_MESSAGE = 2000
"""Characters. An error travels in HTTP/2 headers, which clients limit to 8 KiB."""

_logger = logging.getLogger(__name__)

_Method = Callable[[Any, Any], Awaitable[Message]]
_Handler = Callable[[Any, Any, grpc.aio.ServicerContext], Awaitable[Message]]


Observe = Callable[[str, str, str, grpc.StatusCode, float], None]
"""Told of every request: model, API such as `Predict`, entry point `GRPC`, code, and seconds."""


def create_server(
    core: ServerCore,
    observe: Observe,
    max_message_bytes: int,
    health: Health | None = None,
    channel_arguments: Iterable[tuple[str, int | str]] = (),
) -> grpc.aio.Server:
    """A server that listens nowhere yet.

    Args:
      observe: counts requests.
      max_message_bytes: larger requests are refused with RESOURCE_EXHAUSTED.
      health: is served, too, if it is given.
      channel_arguments: of gRPC, they win over those that are set here.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            # A second server on the same port should fail, not take half the requests.
            ("grpc.so_reuseport", 0),
            # Calls that wait to be taken up; for more, gRPC would answer CANCELLED. They are taken
            # up to be told that there are too many.
            ("grpc.server.max_pending_requests", _MAX_PENDING),
            ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING),
            *channel_arguments,
        ],
        interceptors=[Reading(core.budget)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _PredictionService(core, observe), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(core, observe), server)
    if health:
        health.add_to(server)
    return server


def _answered(method: _Method) -> _Handler:
    """Makes gRPC statuses of exceptions, and has every request counted."""

    @functools.wraps(method)
    async def handler(
        service: "_Service", request: Any, context: grpc.aio.ServicerContext
    ) -> Message:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            response = await method(service, request)
            code = grpc.StatusCode.OK
            return response
        except ServingError as error:
            code, message = error.code, error.message
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _logger.exception("%s", method.__name__)
            code, message = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
        finally:
            service.observe(
                _model_name(request), method.__name__, "GRPC", code, time.perf_counter() - started
            )
        await context.abort(code, message[:_LONGEST_MESSAGE])
        raise AssertionError("abort raises")

    return handler


def _model_name(request: Any) -> str:
    if isinstance(request, inference_pb2.MultiInferenceRequest):
        return request.tasks[0].model_spec.name if request.tasks else ""
    if isinstance(request, model_management_pb2.ReloadConfigRequest):
        return ""
    return str(request.model_spec.name)


def _spec(request: Any) -> model_pb2.ModelSpec:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


class _Service:
    def __init__(self, core: ServerCore, observe: Observe):
        self.core = core
        self.observe = observe


class _PredictionService(_Service):
    @_answered
    async def Predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        spec = _spec(request)
        with self.core.acquire(spec) as servable, self.core.budget.share() as share:
            signature = servable.signature(spec.signature_name)
            servable.admit(signature, request.inputs, tensors.declared)
            size = request.ByteSize()
            share.add_bytes(size)
            inputs = await off_loop(size, tensors.to_arrays, request.inputs)
            outputs = await servable.run(signature.name, inputs, request.output_filter)
            response = predict_pb2.PredictResponse()
            response.model_spec.name = servable.model
            response.model_spec.version.value = servable.version
            response.model_spec.signature_name = signature.name
            size = sum(array.nbytes for array in outputs.values())
            await off_loop(size, tensors.fill_all, response.outputs, outputs, signature.outputs)
            return response

    @_answered
    async def Classify(
        self, request: classification_pb2.ClassificationRequest
    ) -> classification_pb2.ClassificationResponse:
        spec = _spec(request)
        with self.core.acquire(spec) as servable:
            methods.refuse(servable, spec.signature_name, methods.CLASSIFY)

    @_answered
    async def Regress(
        self, request: regression_pb2.RegressionRequest
    ) -> regression_pb2.RegressionResponse:
        spec = _spec(request)
        with self.core.acquire(spec) as servable:
            methods.refuse(servable, spec.signature_name, methods.REGRESS)

    @_answered
    async def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest
    ) -> inference_pb2.MultiInferenceResponse:
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        with self.core.acquire(spec) as servable:
            methods.refuse_all(servable, request.tasks)

    @_answered
    async def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        spec = _spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        return self.core.metadata(spec)


class _ModelService(_Service):
    @_answered
    async def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        return self.core.status(_spec(request))

    @_answered
    async def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest
    ) -> model_management_pb2.ReloadConfigResponse:
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        await self.core.reload(request.config)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response

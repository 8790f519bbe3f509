"""The gRPC API: PredictionService, ModelService and, if asked for, the standard health service."""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
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
from serving.server.budget import Share
from serving.server.core import ServerCore
from serving.server.errors import ServingError, invalid
from serving.server.grpc_reading import Reading
from serving.server.health import Health
from serving.server.metrics import Metrics
from serving.server.servable import off_loop

SIGNATURE_DEF = "signature_def"
_MAX_PENDING = 1 << 20
_LONGEST_MESSAGE = 1024
"""Bytes, as in `grpc_status_util.cc`."""
_TRUNCATED = "...TRUNCATED"
_COUNTED = ("Predict", "Classify", "Regress")
"""What the real server counts as requests."""

_logger = logging.getLogger(__name__)

_NO_MESSAGE = (grpc.StatusCode.INVALID_ARGUMENT, "The request is no message of this method")

_Method = Callable[[Any, Any], Awaitable[Message]]
_Handler = Callable[[Any, Any, grpc.aio.ServicerContext], Awaitable[Message]]


def create_server(
    core: ServerCore,
    metrics: Metrics,
    max_message_bytes: int,
    health: Health | None = None,
    channel_arguments: Iterable[tuple[str, int | str]] = (),
) -> grpc.aio.Server:
    """A server that listens nowhere yet.

    Args:
      metrics: counts requests.
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
        # The first stands outside: it reads by means of the second.
        interceptors=[Reading(core.budget), _Unreadable()],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _PredictionService(core, metrics), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(core, metrics), server)
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
        except Exception:
            _logger.exception("%s failed", method.__name__)
            code, message = grpc.StatusCode.INTERNAL, "The server failed; its log tells more"
        finally:
            if method.__name__ in _COUNTED:
                seconds = time.perf_counter() - started
                service.metrics.observe(
                    request.model_spec.name, method.__name__, "GRPC", code, seconds
                )
        await context.abort(code, _cut(message))
        raise AssertionError("abort raises")

    return handler


def _cut(message: str) -> str:
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= _LONGEST_MESSAGE:
        return message
    return encoded[:_LONGEST_MESSAGE].decode("utf-8", "ignore") + _TRUNCATED


class _Unreadable(grpc.aio.ServerInterceptor):
    """Answers bytes that are no message as a mistake of the sender.

    Left to itself, gRPC answers UNKNOWN with the name of a Python class, and writes a traceback.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(handler_call_details)
        if handler is None or not handler.request_deserializer:
            return handler
        read = handler.request_deserializer

        def read_or_none(content: bytes) -> Message | None:
            try:
                return read(content)
            except DecodeError:
                return None

        async def answer(request: Message | None, context: grpc.aio.ServicerContext) -> Message:
            if request is None:
                await context.abort(*_NO_MESSAGE)
            return await handler.unary_unary(request, context)

        async def stream(
            request: Message | None, context: grpc.aio.ServicerContext
        ) -> AsyncIterator[Message]:
            if request is None:
                await context.abort(*_NO_MESSAGE)
            async for response in handler.unary_stream(request, context):
                yield response

        changed = (
            {"unary_stream": stream} if handler.response_streaming else {"unary_unary": answer}
        )
        return handler._replace(request_deserializer=read_or_none, **changed)


def _spec(request: Any) -> model_pb2.ModelSpec:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


async def _examples(request: Any, share: Share) -> list[bytes]:
    size = request.ByteSize()
    share.add_bytes(size)
    return await off_loop(size, methods.serialized_examples, request.input)


class _Service:
    def __init__(self, core: ServerCore, metrics: Metrics):
        self.core = core
        self.metrics = metrics


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
            response.model_spec.CopyFrom(methods.answering_spec(servable, signature.name))
            size = sum(array.nbytes for array in outputs.values())
            await off_loop(size, tensors.fill_all, response.outputs, outputs, signature.outputs)
            return response

    @_answered
    async def Classify(
        self, request: classification_pb2.ClassificationRequest
    ) -> classification_pb2.ClassificationResponse:
        spec = _spec(request)
        with self.core.acquire(spec) as servable, self.core.budget.share() as share:
            examples = await _examples(request, share)
            result = await methods.classify(servable, spec.signature_name, examples)
            return classification_pb2.ClassificationResponse(
                result=result, model_spec=methods.answering_spec(servable, spec.signature_name)
            )

    @_answered
    async def Regress(
        self, request: regression_pb2.RegressionRequest
    ) -> regression_pb2.RegressionResponse:
        spec = _spec(request)
        with self.core.acquire(spec) as servable, self.core.budget.share() as share:
            examples = await _examples(request, share)
            result = await methods.regress(servable, spec.signature_name, examples)
            return regression_pb2.RegressionResponse(
                result=result, model_spec=methods.answering_spec(servable, spec.signature_name)
            )

    @_answered
    async def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest
    ) -> inference_pb2.MultiInferenceResponse:
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        with self.core.acquire(spec) as servable, self.core.budget.share() as share:
            examples = await _examples(request, share)
            return await methods.infer(servable, request.tasks, examples)

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
        before = {name: self.metrics.count(name) for name in request.metric_names}
        await self.core.reload(request.config)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name, count in before.items():
            increase = self.metrics.count(name) - count
            response.metric.add(name=name, int64_value_increase=increase)
        return response

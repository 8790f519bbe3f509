"""The REST API of tensorflow_model_server over a `ServerCore`.

After `tensorflow_serving/model_servers/http_rest_api_handler.cc`, `http_rest_api_util.cc` and
`http_server.cc`.
"""

import asyncio
import json
import logging
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import grpc
from google.protobuf import json_format, message
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2

from results import versions
from serving.server import methods
from serving.server.budget import Share
from serving.server.core import ServerCore
from serving.server.errors import ServingError, invalid
from serving.server.json_answers import (
    write_classifications,
    write_predict,
    write_regressions,
)
from serving.server.json_examples import read_examples
from serving.server.json_tensors import read_predict, row_counts
from serving.server.json_text import parse_object, signature_name
from serving.server.limits import TOO_SLOW, Bodies, BodyRefused, count_values
from serving.server.metrics import CONTENT_TYPE, Metrics
from serving.server.servable import DEFAULT_SIGNATURE, Servable, Signature, off_loop

HTTP_STATUS = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}
"""After `ToHTTPStatusCode`."""

_PREDICTION = re.compile(
    r"/v1/models/([^/:]+)(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?:(classify|regress|predict)",
    re.IGNORECASE | re.ASCII,
)
_STATUS = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?(?:/(metadata))?",
    re.IGNORECASE | re.ASCII,
)
_OTHER_PAGE = re.compile(rb"https?://")
_CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_FLOAT_TEXT = 12
"""Bytes of a float in an answer, roughly."""
_GZIP_MINIMUM = 2048
_GZIP_LEVEL = 4

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestSettings:
    """How the API answers.

    Attributes:
      cors: whether pages of other origins may ask.
      monitoring_path: where Prometheus reads; None if it may not.
      max_body_bytes: of a request, both as it is sent and unpacked.
      timeout_ms: that a request may take once its body is there; 0 for no limit.
    """

    cors: bool = False
    monitoring_path: str | None = None
    max_body_bytes: int = 64 << 20
    timeout_ms: int = 30_000


def create_app(core: ServerCore, settings: RestSettings, metrics: Metrics) -> Starlette:
    """The ASGI application.

    Example:
      app = create_app(core, RestSettings(), Metrics(core.model_names))
    """
    api = _RestApi(core, settings, metrics)
    compress = Middleware(GZipMiddleware, minimum_size=_GZIP_MINIMUM, compresslevel=_GZIP_LEVEL)
    return Starlette(routes=[Mount("/", app=api)], middleware=[compress])


class _RestApi:
    def __init__(self, core: ServerCore, settings: RestSettings, metrics: Metrics):
        self._core = core
        self._settings = settings
        self._metrics = metrics
        self._bodies = Bodies(settings.max_body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(scope, receive)
        except ClientDisconnect:
            return
        except BodyRefused as error:
            response = _error(error.status, error.message)
            if error.status == TOO_SLOW:
                response.headers["Connection"] = "close"
        except ServingError as error:
            response = _error(HTTP_STATUS[error.code], error.message)
        except Exception:
            _logger.exception("a request failed")
            response = _error(500, "The server failed; its log tells more")
        if self._settings.cors:
            response.headers.update(_CORS_HEADERS)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        method, target = scope["method"], _target(scope)
        path = self._settings.monitoring_path
        if path and target.partition("?")[0] == path:
            if target != path:
                text = f"Unexpected path: {target}. Should be {path}"
                return Response(text, status_code=400, media_type=CONTENT_TYPE)
            return Response(self._metrics.text(), media_type=CONTENT_TYPE)
        if not target.lower().startswith("/v1/"):
            return _error(404, "Not Found")
        asked = _Asked(time.perf_counter())
        code = grpc.StatusCode.UNKNOWN
        try:
            response = await self._answer(asked, method, target, scope, receive)
            code = grpc.StatusCode.OK
        except ServingError as error:
            code = error.code
            raise
        except BodyRefused:
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            raise
        except (ClientDisconnect, asyncio.CancelledError):
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            seconds = time.perf_counter() - asked.began
            self._metrics.observe(asked.model, asked.api, "REST", code, seconds)
        return response

    async def _answer(
        self, asked: "_Asked", method: str, target: str, scope: Scope, receive: Receive
    ) -> Response:
        if method == "OPTIONS":
            if not _OTHER_PAGE.search(dict(scope["headers"]).get(b"origin", b"")):
                raise ServingError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "Origin header is missing in CORS preflight",
                )
            return Response()
        if method == "POST" and (found := _PREDICTION.fullmatch(target)):
            asked.model, asked.api = _unquoted(found[1]), found[4].lower()
            return await self._infer(asked, _spec(*found.group(1, 2, 3)), scope, receive)
        if method == "GET" and (found := _STATUS.fullmatch(target)):
            if not found[1]:
                raise invalid("Missing model name in request.")
            asked.model = _unquoted(found[1])
            spec = _spec(*found.group(1, 2, 3))
            return self._metadata(spec) if found[4] else self._status(spec)
        raise invalid(f"Malformed request: {method} {target}")

    async def _infer(
        self, asked: "_Asked", spec: model_pb2.ModelSpec, scope: Scope, receive: Receive
    ) -> Response:
        with self._core.budget.share() as share:
            body = await self._bodies.read(dict(scope["headers"]), receive, share)
            asked.began = time.perf_counter()
            limit_s = self._settings.timeout_ms / 1000 or None
            try:
                async with asyncio.timeout(limit_s):
                    return _json(await self._run(asked.api, spec, body, share))
            except TimeoutError:
                raise ServingError(
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    f"Deadline exceeded: no answer within {self._settings.timeout_ms:,} ms",
                ) from None

    async def _run(
        self, api: str, spec: model_pb2.ModelSpec, body: bytearray, share: Share
    ) -> bytes:
        size = len(body)
        await off_loop(size, count_values, body, share)
        document = await off_loop(size, parse_object, body)
        name = signature_name(document)
        if api != "predict":
            examples = await off_loop(size, read_examples, document)
            del document
            with self._core.acquire(spec) as servable:
                if api == "classify":
                    return write_classifications(await methods.classify(servable, name, examples))
                return write_regressions(await methods.regress(servable, name, examples))
        with self._core.acquire(spec) as servable:
            signature = _signature(servable, name)
            servable.check_rows(signature, row_counts(document, signature))
            request = await off_loop(size, read_predict, document, signature)
            del document
            outputs = await servable.run(name, request.inputs)
        size = _FLOAT_TEXT * sum(array.size for array in outputs.values())
        return await off_loop(size, write_predict, outputs, request.is_row)

    def _status(self, spec: model_pb2.ModelSpec) -> Response:
        return _json(json.dumps(_as_dict(self._core.status(spec)), indent=1).encode())

    def _metadata(self, spec: model_pb2.ModelSpec) -> Response:
        response = self._core.metadata(spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        document = {
            "model_spec": _as_dict(response.model_spec),
            "metadata": {"signature_def": _as_dict(signatures)},
        }
        return _json(json.dumps(document, indent=1).encode())


@dataclass
class _Asked:
    """What is known of a request, for the metrics.

    Attributes:
      began: when its body was there, by `time.perf_counter`.
      model: name, empty for a request that is about none.
      api: such as `predict`, empty for others.
    """

    began: float
    model: str = ""
    api: str = ""


def _signature(servable: Servable, name: str) -> Signature:
    """As `Servable.signature`, in the words of the REST API."""
    name = name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    return servable.signature(name)


def _target(scope: Scope) -> str:
    """Path and query as they were sent, which is what the real server looks at."""
    query = scope["query_string"]
    return (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")


def _spec(name: str, version: str | None, label: str | None) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=_unquoted(name))
    if version:
        number = versions.number_of(version)
        if number is None:
            raise invalid(f"Failed to convert version: {version} to numeric.")
        spec.version.value = number
    if label:
        spec.version_label = _unquoted(label)
    return spec


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text.encode("latin-1")).decode("utf-8", "replace")


def _as_dict(proto: message.Message) -> dict[str, Any]:
    return json_format.MessageToDict(
        proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _error(status: int, text: str) -> Response:
    return Response(
        json.dumps({"error": text}).encode(), status_code=status, media_type="application/json"
    )

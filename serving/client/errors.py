"""What can go wrong between a client and a model, one class for each thing to do about it."""

import re

import grpc

from core.errors import DexmatchError


class ClientError(DexmatchError):
    """A call that got no answer; the message is one line that names the server or model."""


class ServingUnavailable(ClientError):
    """Nobody listens there, the server is overloaded, or it is about to stop. Try again later."""


class DeadlineExceeded(ClientError):
    """The answer did not come in time."""


class InvalidRequest(ClientError):
    """The request is wrong and stays wrong however often it is sent."""


class ModelNotFound(ClientError):
    """There is no such model or version."""


class RequestTooLarge(ClientError):
    """The request is larger than the server takes. Send less at a time."""


class ServerFault(ClientError):
    """The server failed, or what answered is no model server."""


_BY_CODE: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.UNAVAILABLE: ServingUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ServingUnavailable,
}
# In the words by which gRPC itself refuses a message; a server that is busy has others.
_TOO_LARGE = "larger than max"
_ANSWER_TOO_LARGE = ("CLIENT: Received message", "Decompressed message")
# The same status as for a server that is not there, which may come up later.
_UNTRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED: (.*?)(?:: OK)?$")
# What `tensorflow_serving/model_servers/http_server.cc` makes of these codes; 413 comes from
# servers and proxies that limit the size of a body, 502 from proxies without a server behind them.
_BY_HTTP_STATUS: dict[int, type[ClientError]] = {
    400: InvalidRequest,
    404: ModelNotFound,
    413: RequestTooLarge,
    429: ServingUnavailable,
    502: ServingUnavailable,
    503: ServingUnavailable,
    504: DeadlineExceeded,
}


def error_of_code(code: grpc.StatusCode, where: str, message: str) -> ClientError:
    """The error for a gRPC status."""
    if code is grpc.StatusCode.UNAVAILABLE and (refusal := _UNTRUSTED.search(message)):
        return untrusted(where, refusal[1])
    kind = _BY_CODE.get(code, ServerFault)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in message:
        is_answer = any(words in message for words in _ANSWER_TOO_LARGE)
        kind = ServerFault if is_answer else RequestTooLarge
    return kind(f"{where}: {one_line(message) or code.name}")


def untrusted(where: str, reason: str) -> ServerFault:
    """The error for a server whose certificate was refused."""
    return ServerFault(f"{where}: its certificate is not to be trusted ({one_line(reason)})")


def error_of_http_status(status: int, where: str, message: str) -> ClientError:
    """The error for an HTTP status of 300 or above."""
    return _BY_HTTP_STATUS.get(status, ServerFault)(
        f"{where}: {one_line(message) or f'answered with HTTP status {status}'}"
    )


def one_line(message: str, longest: int = 500) -> str:
    """What a server said, as a part of a message."""
    line = " ".join(message.split())
    return line if len(line) <= longest else f"{line[:longest]}..."

"""Typed clients for a pushed model: over REST, over gRPC, and without a server.

from serving.client import open_model

with open_model("http://localhost:8501") as model:
    probabilities = model.score([open("bird.png", "rb").read()], ["a red bird"])
"""

from pathlib import Path

from serving.client.addresses import without_login
from serving.client.base import DEFAULT_MODEL, Client, Settings, VersionStatus
from serving.client.certificates import ClientCertificate
from serving.client.errors import (
    ClientError,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    RequestTooLarge,
    ServerFault,
    ServingUnavailable,
)
from serving.client.retries import Retries

__all__ = [
    "SCHEMES",
    "Client",
    "ClientCertificate",
    "ClientError",
    "DeadlineExceeded",
    "InvalidRequest",
    "ModelNotFound",
    "RequestTooLarge",
    "Retries",
    "ServerFault",
    "ServingUnavailable",
    "Settings",
    "VersionStatus",
    "open_model",
    "without_login",
]

_GRPC, _GRPC_TLS = "grpc://", "grpcs://"
SCHEMES = ("http://", "https://", _GRPC, _GRPC_TLS)
"""How the address of a server may begin."""


def open_model(
    where: str | Path, model: str = DEFAULT_MODEL, settings: Settings | None = None
) -> Client:
    """A client for whatever answers there. The import of its libraries waits until here.

    Args:
      where: "http://host:8501" or "https://..." for REST, "grpc://host:8500" or "grpcs://..." for
        gRPC, or the folder of a version or of versions, to load the model into this process. The
        user and password of "https://user:password@host" are sent as HTTP's basic authentication.
      model: the name under which a server offers it; a folder needs none.
      settings: deadlines, retries, batches and the certificate to show.

    Returns:
      The client. A server is not asked anything yet.

    Raises:
      InvalidRequest: the address is none, or the client certificate cannot be shown there.
      ModelNotFound: the folder holds no model.
    """
    address = str(where)
    if address.startswith(("http://", "https://")):
        from serving.client.rest_client import RestClient

        return RestClient(address, model, settings)
    if address.startswith((_GRPC, _GRPC_TLS)):
        from serving.client.grpc_client import GrpcClient

        scheme, _, host = address.rstrip("/").partition("://")
        return GrpcClient(host, model, settings, secure=f"{scheme}://" == _GRPC_TLS)
    if "://" in address:
        raise InvalidRequest(f"{without_login(address)}: begin with {', '.join(SCHEMES)}")
    from serving.client.in_process import InProcess

    return InProcess(Path(where), settings)

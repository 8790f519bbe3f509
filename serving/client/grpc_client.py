"""The client for TensorFlow Serving's gRPC API."""

import math
import ssl
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import grpc
import numpy as np

# These load TensorFlow, because their protos refer to TensorFlow's.
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client import errors
from serving.client.addresses import without_login
from serving.client.base import DEFAULT_MODEL, Client, Floats, Settings, VersionStatus
from serving.client.retries import Deadline

_Answer = TypeVar("_Answer")
_FLOAT_BYTES = 4

_OPTIONS = (
    # Pictures soon exceed gRPC's 4 MB.
    ("grpc.max_send_message_length", -1),
    # By default a channel waits a second and more before it looks again whether a server is there,
    # and refuses every call meanwhile. How often that is asked is settled by `Retries`.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class GrpcClient(Client):
    """Asks over gRPC, the fastest way for pictures: they travel as they are.

    Args:
      address: such as "localhost:8500".
      model: the name under which the server offers the model.
      settings: deadlines, retries, batches and the certificate to show.
      secure: over TLS. The server's certificate is held against those that gRPC trusts, or those in
        the file that GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names.

    Raises:
      InvalidRequest: the address is none, or the certificate cannot be shown there.
    """

    def __init__(
        self,
        address: str,
        model: str = DEFAULT_MODEL,
        settings: Settings | None = None,
        secure: bool = False,
    ):
        where = f"{'grpcs' if secure else 'grpc'}://{without_login(address)}"
        super().__init__(where, settings or Settings())
        if "@" in address:
            raise errors.InvalidRequest(f"{where}: gRPC takes no user and password; leave them out")
        if self.settings.client_certificate and not secure:
            raise errors.InvalidRequest(
                f"{where}: a client certificate is shown over TLS; write grpcs://"
            )
        self._model = model
        # Looked at before a message is read, and before a packed one is unpacked.
        most = ("grpc.max_receive_message_length", self.settings.max_answer_bytes)
        options = (*_OPTIONS, most)
        self._channel = (
            grpc.secure_channel(address, self._credentials(), options=options)
            if secure
            else grpc.insecure_channel(address, options=options)
        )
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def status(self) -> list[VersionStatus]:
        """See `Client.status`."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._model
        answer = self._ask(self._models.GetModelStatus, request, self._deadline())
        name = get_model_status_pb2.ModelVersionStatus.State.Name
        found = [
            VersionStatus(each.version, name(each.state), each.status.error_message)
            for each in answer.model_version_status
        ]
        return sorted(found, key=lambda each: -each.version)

    def close(self) -> None:
        """See `Client.close`."""
        self._channel.close()

    def _predict(
        self, signature: str, inputs: Mapping[str, Any], output: str, deadline: Deadline
    ) -> Floats:
        request = predict_pb2.PredictRequest(output_filter=[output])
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        if self._pinned is not None:
            request.model_spec.version.value = self._pinned
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(_tensor(values))
        answer = self._ask(self._predictions.Predict, request, deadline)
        if output not in answer.outputs:
            raise errors.ServerFault(f"{self.where}: {signature} answered without {output!r}")
        try:
            return _array(answer.outputs[output], self.settings.max_answer_bytes)
        except ValueError as error:
            raise errors.ServerFault(
                f"{self.where}: the answer to {signature} is broken ({error})"
            ) from error

    def _answering(self) -> int:
        # Unlike the status, a part of the service that proxies let through.
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self._model
        answer = self._ask(self._predictions.GetModelMetadata, request, self._deadline())
        if not answer.model_spec.HasField("version"):
            raise errors.ServerFault(f"{self.where}: does not say which version answers")
        return int(answer.model_spec.version.value)

    def _credentials(self) -> grpc.ChannelCredentials:
        if not self.settings.client_certificate:
            return grpc.ssl_channel_credentials()
        # gRPC itself would only say that the server cannot be reached.
        self.settings.client_certificate.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        certificate, key = self.settings.client_certificate.pem()
        return grpc.ssl_channel_credentials(private_key=key, certificate_chain=certificate)

    def _ask(self, method: Callable[..., _Answer], request: Any, deadline: Deadline) -> _Answer:
        def send() -> _Answer:
            try:
                return method(request, timeout=deadline.remaining())
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise deadline.exceeded() from error
                raise errors.error_of_code(
                    error.code(), self.where, error.details() or ""
                ) from error
            except ValueError as error:  # The channel is closed.
                raise errors.ClientError(f"{self.where}: {error}") from error

        return self.settings.retries.call(send, deadline)


def _tensor(values: Any) -> tensor_pb2.TensorProto:
    """A list of bytes or str, or float32 [N, D], as TensorFlow's proto."""
    tensor = tensor_pb2.TensorProto()
    if isinstance(values, np.ndarray):
        tensor.dtype = types_pb2.DT_FLOAT
        tensor.tensor_content = values.astype("<f4").tobytes()
        shape: tuple[int, ...] = values.shape
    else:
        tensor.dtype = types_pb2.DT_STRING
        tensor.string_val.extend(
            value if isinstance(value, bytes) else value.encode() for value in values
        )
        shape = (len(values),)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def _array(tensor: tensor_pb2.TensorProto, most: int) -> Floats:
    """float32 of any shape; servers send the values either packed or one by one.

    Raises:
      ValueError: it is of another type, of more bytes than `most`, or of another size than its
        values.
    """
    if tensor.dtype != types_pb2.DT_FLOAT:
        raise ValueError(f"a tensor of type {tensor.dtype}, not DT_FLOAT")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if min(shape, default=0) < 0 or math.prod(shape) * _FLOAT_BYTES > most:
        raise ValueError(f"a tensor of shape {errors.one_line(str(shape))}")
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, "<f4").reshape(shape).astype(np.float32)
    values = np.asarray(tensor.float_val, np.float32)
    # A single value stands for all of them: see tensor.proto.
    return np.resize(values, shape) if len(values) == 1 else values.reshape(shape)

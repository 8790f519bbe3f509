"""The client for TensorFlow Serving's gRPC API."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import grpc
import numpy as np

# These load TensorFlow, because their protos refer to TensorFlow's.
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client import errors
from serving.client.base import DEFAULT_MODEL, Client, Floats, Settings, VersionStatus
from serving.client.retries import Deadline

_Answer = TypeVar("_Answer")

_OPTIONS = (
    # Pictures and embeddings soon exceed gRPC's 4 MB.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
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
      settings: deadlines, retries and batches.
      secure: over TLS. The server's certificate is held against those that gRPC trusts, or those in
        the file that GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names.
    """

    def __init__(
        self,
        address: str,
        model: str = DEFAULT_MODEL,
        settings: Settings | None = None,
        secure: bool = False,
    ):
        super().__init__(f"{'grpcs' if secure else 'grpc'}://{address}", settings or Settings())
        self._model = model
        self._channel = (
            grpc.secure_channel(address, grpc.ssl_channel_credentials(), options=_OPTIONS)
            if secure
            else grpc.insecure_channel(address, options=_OPTIONS)
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
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(_tensor(values))
        answer = self._ask(self._predictions.Predict, request, deadline)
        if output not in answer.outputs:
            raise errors.ServerFault(f"{self.where}: {signature} answered without {output!r}")
        return _array(answer.outputs[output])

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


def _array(tensor: tensor_pb2.TensorProto) -> Floats:
    """float32 of any shape; servers send the values either packed or one by one."""
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, "<f4").reshape(shape).astype(np.float32)
    values = np.asarray(tensor.float_val, np.float32)
    # A single value stands for all of them: see tensor.proto.
    return np.resize(values, shape) if len(values) == 1 else values.reshape(shape)

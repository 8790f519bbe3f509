"""Warm-up: requests that a version answers before it is served.

They are in `<version>/assets.extra/tf_serving_warmup_requests`, a TFRecord file of PredictionLog;
see https://www.tensorflow.org/tfx/serving/saved_model_warmup.
"""

from collections.abc import Iterator
from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.server import tensors
from serving.server.errors import ServingError, invalid
from serving.server.servable import Servable

MAX_RECORDS = 1000


def requests_file(version: Path) -> Path:
    """Where a version's warm-up requests are."""
    return version / "assets.extra" / "tf_serving_warmup_requests"


def warm_up(servable: Servable, version: Path, iterations: int = 1) -> int:
    """Answers the recorded requests, if there are any.

    Args:
      version: the version's folder.
      iterations: how often each is answered.

    Returns:
      The number of records.

    Raises:
      ServingError: a record is broken or fails, or there are more than 1,000.
    """
    file = requests_file(version)
    if not file.is_file():
        return 0
    count = 0
    for record in records(file):
        count += 1
        if count > MAX_RECORDS:
            raise invalid(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}")
        try:
            log = prediction_log_pb2.PredictionLog.FromString(record)
        except DecodeError as error:
            raise invalid(f"Failed to parse warmup record {count} from {file}") from error
        for _ in range(iterations):
            _replay(servable, log)
    return count


def records(file: Path) -> Iterator[bytes]:
    """The recorded requests, serialized.

    Raises:
      ServingError: the file is damaged.
    """
    try:
        yield from tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    except tf.errors.DataLossError as error:
        raise ServingError(
            grpc.StatusCode.DATA_LOSS,
            f"{file}: {error.message}. Please verify your warmup data is in TFRecord format.",
        ) from error


def _replay(servable: Servable, log: prediction_log_pb2.PredictionLog) -> None:
    kind = log.WhichOneof("log_type")
    if kind != "predict_log":
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}"
        )
    request = log.predict_log.request
    signature = servable.signature(request.model_spec.signature_name)
    inputs = tensors.to_arrays(request.inputs)
    servable.check(signature, inputs)
    servable.call(signature.name, inputs)

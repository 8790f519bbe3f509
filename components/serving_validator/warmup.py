"""Warm-up requests: what a model server asks a model of before it takes requests.

The pictures are drawn here, so that nobody's data travel with the model.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from core import features
from modules.export import signatures
from serving.server.warmup import MAX_RECORDS, requests_file

_CAPTION = "a small red creature with two wings stands on the grass"


def write(
    saved_model: Path, loaded: Any, model: str, image_size: int, batch_sizes: Sequence[int]
) -> int:
    """Writes requests for every signature but `serve_examples`, in every batch size.

    Args:
      saved_model: folder of the version.
      loaded: what `tf.saved_model.load` gives of it.
      model: name under which it is served.
      image_size: height and width of the pictures.
      batch_sizes: how many pairs a request holds, the smallest first.

    Returns:
      The number of requests.
    """
    logs = list(_logs(loaded.signatures, model, image_size, batch_sizes))[:MAX_RECORDS]
    target = requests_file(saved_model)
    target.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(target)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    return len(logs)


def _logs(
    loaded: Mapping[str, Any], model: str, image_size: int, batch_sizes: Sequence[int]
) -> Iterator[prediction_log_pb2.PredictionLog]:
    pair = {
        features.IMAGE: np.array([_picture(image_size)], object),
        features.CAPTION: np.array([_CAPTION.encode()], object),
    }
    for name in (signatures.ENCODE_IMAGE, signatures.ENCODE_CAPTION):
        keys, output = signatures.CONTRACT[name]
        asked = {key: tf.constant(pair[key]) for key in keys}
        embedding = loaded[name](**asked)[output].numpy()
        pair[features.IMAGE_EMBEDDING if features.IMAGE in keys else features.CAPTION_EMBEDDING] = (
            embedding
        )
    for size in batch_sizes:
        for name, (keys, _) in signatures.CONTRACT.items():
            if name == signatures.SERVE_EXAMPLES:
                continue
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model
            request.model_spec.signature_name = name
            for key in keys:
                batch = np.repeat(pair[key], size, axis=0)
                request.inputs[key].CopyFrom(tf.make_tensor_proto(batch))
            yield prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )


def _picture(size: int) -> bytes:
    """A PNG of colours that change over both axes."""
    ramp = np.linspace(0, 255, size).astype(np.uint8)
    across, down = np.meshgrid(ramp, ramp)
    buffer = io.BytesIO()
    Image.fromarray(np.stack([across, down, 255 - across], axis=-1)).save(buffer, "PNG")
    return buffer.getvalue()

"""Classify, Regress and MultiInference: what is said to signatures that are made for Predict.

TensorFlow 2 saves no others. The words are those of `servables/tensorflow/classifier.cc`,
`regressor.cc` and `multi_inference.cc` in TensorFlow Serving.
"""

from collections.abc import Iterable
from typing import NoReturn

import grpc
from tensorflow_serving.apis import inference_pb2

from serving.server.errors import ServingError, invalid
from serving.server.servable import DEFAULT_SIGNATURE, Servable

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

_KINDS = {CLASSIFY: "classification", REGRESS: "regression"}


def refuse(servable: Servable, signature: str, method: str) -> NoReturn:
    """Answers a Classify or Regress request.

    Args:
      signature: name; empty means `serving_default`.
      method: `CLASSIFY` or `REGRESS`.

    Raises:
      ServingError: always; INVALID_ARGUMENT, as the model server does, or UNIMPLEMENTED for a
        signature that TensorFlow 1 made for it.
    """
    name = signature or DEFAULT_SIGNATURE
    definition = servable.signature_defs.get(name)
    if definition is None:
        raise invalid(f"No signature was found with the name: {name}")
    _refuse_method(definition.method_name, method)


def refuse_all(servable: Servable, tasks: Iterable[inference_pb2.InferenceTask]) -> NoReturn:
    """Answers a MultiInference request.

    Raises:
      ServingError: always, see `refuse`.
    """
    for task in tasks:
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        definition = servable.signature_defs.get(name)
        if definition is None:
            raise invalid(f"Requested signature not found in model graph: {name}")
        if task.method_name not in _KINDS:
            raise ServingError(
                grpc.StatusCode.UNIMPLEMENTED,
                f"Unsupported signature method_name: {task.method_name}",
            )
        _refuse_method(definition.method_name, task.method_name)
    raise invalid("Inference request without tasks")


def _refuse_method(has: str, asked: str) -> NoReturn:
    if has != asked:
        raise invalid(f"Expected {_KINDS[asked]} signature method_name to be {asked}. Was: {has}")
    raise ServingError(
        grpc.StatusCode.UNIMPLEMENTED,
        f"the embedded engine answers Predict, not {asked}; use another engine for this model",
    )

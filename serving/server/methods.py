"""Classify, Regress and MultiInference, which take tf.Examples.

A signature can answer them if its inputs and outputs have the names that they ask for, whatever
method TensorFlow wrote down for it: TensorFlow 2 saves all for Predict. The rules and the words are
those of `servables/tensorflow/classifier.cc`, `regressor.cc` and `multi_inference.cc` in TensorFlow
Serving.
"""

import asyncio
from collections.abc import Iterable, Sequence

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    regression_pb2,
)

from serving.server.errors import ServingError, invalid
from serving.server.servable import DEFAULT_SIGNATURE, Servable

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

_INPUTS = "inputs"
_CLASSES, _SCORES = "classes", "scores"
_OUTPUTS = "outputs"


def serialized_examples(asked: input_pb2.Input) -> list[bytes]:
    """The tf.Examples of a request, each with the features of the context if there is one."""
    if asked.WhichOneof("kind") == "example_list_with_context":
        # Merged as protobuf merges: by appending.
        context = asked.example_list_with_context.context.SerializeToString()
        examples: Iterable[tf.train.Example] = asked.example_list_with_context.examples
        return [context + each.SerializeToString() for each in examples]
    return [each.SerializeToString() for each in asked.example_list.examples]


async def classify(
    servable: Servable, signature: str, examples: Sequence[bytes]
) -> classification_pb2.ClassificationResult:
    """Answers a Classify request.

    Args:
      signature: name; empty means `serving_default`.
      examples: serialized tf.Examples.

    Raises:
      ServingError: INVALID_ARGUMENT, there is no such signature or it does not classify; or what
        the model answered.
    """
    name = signature or DEFAULT_SIGNATURE
    return await _classify(servable, name, _definition(servable, name), examples)


async def regress(
    servable: Servable, signature: str, examples: Sequence[bytes]
) -> regression_pb2.RegressionResult:
    """Answers a Regress request; see `classify`."""
    name = signature or DEFAULT_SIGNATURE
    return await _regress(servable, name, _definition(servable, name), examples)


async def infer(
    servable: Servable, tasks: Sequence[inference_pb2.InferenceTask], examples: Sequence[bytes]
) -> inference_pb2.MultiInferenceResponse:
    """Answers a MultiInference request: several of the others, about the same examples.

    Raises:
      ServingError: see `classify`; or UNIMPLEMENTED, a task is of another method.
    """
    checked = _checked(servable, tasks)
    results = await asyncio.gather(
        *(
            (_classify if task.method_name == CLASSIFY else _regress)(
                servable, name, definition, examples
            )
            for task, name, definition in checked
        )
    )
    response = inference_pb2.MultiInferenceResponse()
    for (_, name, _), result in zip(checked, results, strict=True):
        made = response.results.add()
        made.model_spec.CopyFrom(answering_spec(servable, name))
        if isinstance(result, classification_pb2.ClassificationResult):
            made.classification_result.CopyFrom(result)
        else:
            made.regression_result.CopyFrom(result)
    return response


def answering_spec(servable: Servable, signature: str) -> model_pb2.ModelSpec:
    """What an answer says of who gave it."""
    spec = model_pb2.ModelSpec(name=servable.model, signature_name=signature or DEFAULT_SIGNATURE)
    spec.version.value = servable.version
    return spec


def _checked(
    servable: Servable, tasks: Sequence[inference_pb2.InferenceTask]
) -> list[tuple[inference_pb2.InferenceTask, str, meta_graph_pb2.SignatureDef]]:
    """The tasks with the names and definitions of their signatures."""
    made, seen = [], set()
    for task in tasks:
        if not task.model_spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if task.model_spec.name != servable.model:
            raise invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        definition = servable.signature_defs.get(name)
        if definition is None:
            raise invalid(f"Requested signature not found in model graph: {name}")
        if task.method_name == CLASSIFY:
            _check_classifies(definition)
        elif task.method_name == REGRESS:
            _check_regresses(definition)
        else:
            raise ServingError(
                grpc.StatusCode.UNIMPLEMENTED,
                f"Unsupported signature method_name: {task.method_name}",
            )
        made.append((task, name, definition))
    return made


def _definition(servable: Servable, name: str) -> meta_graph_pb2.SignatureDef:
    definition = servable.signature_defs.get(name)
    if definition is None:
        raise invalid(f"No signature was found with the name: {name}")
    return definition


def _check_classifies(definition: meta_graph_pb2.SignatureDef) -> None:
    if len(definition.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(definition.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(definition.outputs)}")
    if _INPUTS not in definition.inputs:
        raise invalid(f"No classification inputs found in SignatureDef: {definition}")
    if _CLASSES not in definition.outputs and _SCORES not in definition.outputs:
        raise invalid(
            "Expected classification signature outputs to contain at least one of "
            f'"{_CLASSES}" or "{_SCORES}". Signature was: {definition}'
        )


def _check_regresses(definition: meta_graph_pb2.SignatureDef) -> None:
    if len(definition.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(definition.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if _INPUTS not in definition.inputs:
        raise invalid(f"No regression inputs found in SignatureDef: {definition}")
    if _OUTPUTS not in definition.outputs:
        raise invalid(f"No regression outputs found in SignatureDef: {definition}")


async def _run(
    servable: Servable, name: str, examples: Sequence[bytes], outputs: Sequence[str]
) -> dict[str, np.ndarray]:
    if not examples:
        raise invalid("Input is empty.")
    return await servable.run(name, {_INPUTS: np.array(examples, object)}, outputs)


async def _classify(
    servable: Servable,
    name: str,
    definition: meta_graph_pb2.SignatureDef,
    examples: Sequence[bytes],
) -> classification_pb2.ClassificationResult:
    _check_classifies(definition)
    wanted = [output for output in (_CLASSES, _SCORES) if output in definition.outputs]
    answer = await _run(servable, name, examples, wanted)
    for output, dtype, stands_for in (
        (_CLASSES, np.dtype(object), "DT_STRING"),
        (_SCORES, np.dtype(np.float32), "DT_FLOAT"),
    ):
        if output in answer:
            _check_table(answer[output], output, len(examples), dtype, stands_for)
    classes, scores = answer.get(_CLASSES), answer.get(_SCORES)
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise invalid(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    result = classification_pb2.ClassificationResult()
    for number in range(len(examples)):
        found = result.classifications.add()
        for place in range(answer[wanted[0]].shape[1]):
            one = found.classes.add()
            if classes is not None:
                one.label = classes[number, place].decode("utf-8", "replace")
            if scores is not None:
                one.score = float(scores[number, place])
    return result


def _check_table(array: np.ndarray, name: str, rows: int, dtype: np.dtype, stands_for: str) -> None:
    if array.ndim != 2:
        raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
    if array.dtype != dtype:
        raise invalid(f"Expected {name} Tensor of {stands_for}. Got: {_type(array)}")
    if len(array) != rows:
        raise invalid(f"Expected {name} output batch size of {rows}. Got: {len(array)}")


async def _regress(
    servable: Servable,
    name: str,
    definition: meta_graph_pb2.SignatureDef,
    examples: Sequence[bytes],
) -> regression_pb2.RegressionResult:
    _check_regresses(definition)
    array = (await _run(servable, name, examples, [_OUTPUTS]))[_OUTPUTS]
    if array.ndim != 1 and array.shape[1:] != (1,):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{_shape(array)}"
        )
    if len(array) != len(examples):
        raise invalid(
            f"Input batch size did not match output batch size: {len(examples)} vs. {len(array)}"
        )
    if array.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {_type(array)}")
    result = regression_pb2.RegressionResult()
    for value in array.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _type(array: np.ndarray) -> str:
    return f"DT_{tf.dtypes.as_dtype(array.dtype).name.upper()}"

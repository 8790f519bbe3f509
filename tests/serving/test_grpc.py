"""The gRPC API of the embedded engine, point by point, through a real server."""

import re
import shutil
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving import engines, files
from serving.engines.embedded import Embedded
from serving.protos import HealthCheckRequest, HealthCheckResponse

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class WithHealth(Embedded):
    """As `--enable_grpc_healthcheck_service` and small messages make it."""

    def command(self, options):
        return [
            *super().command(options),
            "--enable_grpc_healthcheck_service",
            "--max_body_bytes=1000000",
        ]


@pytest.fixture(scope="module")
def config(toy, pushed, tmp_path_factory):
    """A ModelServerConfig: the toy in versions 1 (stable) and 2, and dexmatch."""
    folder = tmp_path_factory.mktemp("models") / "toy"
    shutil.copytree(toy / "1", folder / "1")
    shutil.copytree(toy / "1", folder / "2")
    made = files.one_model("toy", folder)
    (entry,) = made.model_config_list.config
    entry.model_version_policy.all.SetInParent()
    entry.version_labels.update({"stable": 1, "gone": 9})
    made.MergeFrom(files.one_model("dexmatch", pushed))
    return made


@pytest.fixture(scope="module")
def server(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "models.config"
    files.write(config, path)
    options = engines.Options("toy", models_config=path, grpc_port=0, rest_port=0)
    with engines.running(WithHealth(), options) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc_address) as opened:
        yield opened


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models_stub(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def request(model="toy", signature="", version=None, label=None, outputs=(), **inputs):
    made = predict_pb2.PredictRequest(output_filter=outputs)
    made.model_spec.name = model
    made.model_spec.signature_name = signature
    if version is not None:
        made.model_spec.version.value = version
    if label:
        made.model_spec.version_label = label
    for name, value in inputs.items():
        proto = value if isinstance(value, tensor_pb2.TensorProto) else None
        made.inputs[name].CopyFrom(proto or tf.make_tensor_proto(value))
    return made


def refused(call, *arguments):
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, timeout=60)
    return error.value.code(), error.value.details()


X = np.float32([1, 2])
MIXED = {"count": np.int64([1, 2]), "point": np.float32([[3, 4], [0, 0]]), "text": [b"a", b"\xff"]}


def test_predict_answers_with_names_types_and_the_version(stub):
    response = stub.Predict(request(signature="mixed", **MIXED))
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("toy", 2, "mixed")
    answers = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
    assert answers["doubled"].tolist() == [2, 4] and answers["doubled"].dtype == np.int64
    assert answers["norm"].tolist() == [5, 0] and answers["norm"].dtype == np.float32
    assert answers["is_far"].tolist() == [True, False]
    assert answers["text_bytes"].tolist() == [b"a\x00!", b"\xff\x00!"]
    # Values are in their own fields, as Tensor::AsProtoField writes them.
    assert list(response.outputs["doubled"].int64_val) == [2, 4]
    assert not response.outputs["doubled"].tensor_content


def test_no_signature_means_serving_default(stub):
    response = stub.Predict(request(x=X))
    assert response.model_spec.signature_name == "serving_default"
    assert list(response.outputs["y"].float_val) == [2, 3]


def test_the_output_filter_chooses(stub):
    response = stub.Predict(request(signature="mixed", outputs=["norm"], **MIXED))
    assert set(response.outputs) == {"norm"}
    code, told = refused(stub.Predict, request(signature="mixed", outputs=["nothing"], **MIXED))
    assert code is INVALID
    assert told == (
        "output tensor alias not found in signature: nothing Outputs expected to be in the set "
        "{doubled,is_far,norm,text_bytes}."
    )
    code, told = refused(
        stub.Predict, request(signature="mixed", outputs=["norm", "norm"], **MIXED)
    )
    assert (code, told) == (INVALID, "duplicate output tensor alias: norm")


@pytest.mark.parametrize("encoded", ["float_val", "tensor_content", "repeated", "left out"])
def test_every_encoding_of_a_tensor_is_understood(stub, encoded):
    proto = tensor_pb2.TensorProto(dtype=1)
    proto.tensor_shape.dim.add(size=2)
    if encoded == "float_val":
        proto.float_val.extend([1, 1])
    elif encoded == "tensor_content":
        proto.tensor_content = np.float32([1, 1]).tobytes()
    elif encoded == "repeated":
        proto.float_val.append(1)
    expected = [1, 1] if encoded == "left out" else [2, 2]
    assert list(stub.Predict(request(x=proto)).outputs["y"].float_val) == expected


def test_scalars_and_free_inner_shapes(stub):
    assert stub.Predict(request(signature="scalar", x=np.float32(1))).outputs["y"].float_val == [2]
    total = stub.Predict(request(signature="total", values=np.int32([[1, 2, 3], [4, 5, 6]])))
    assert list(total.outputs["sum"].int_val) == [6, 15]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_dexmatch_takes_any_number_of_pairs(stub, pictures, count):
    response = stub.Predict(
        request(
            "dexmatch",
            image=tf.make_tensor_proto([pictures["rgb.png"]] * count, tf.string, [count]),
            caption=tf.make_tensor_proto([b"a red bird"] * count, tf.string, [count]),
        )
    )
    assert tf.make_ndarray(response.outputs["probability"]).shape == (count,)


def test_what_cannot_be_judged_is_zero_and_harms_no_neighbour(stub, pictures):
    good = pictures["rgb.png"]
    response = stub.Predict(
        request("dexmatch", image=[good, b"broken", good], caption=[b"a bird", b"a bird", b""])
    )
    first, *others = response.outputs["probability"].float_val
    assert first > 0 and others == [0, 0]


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        (predict_pb2.PredictRequest(), INVALID, "Missing ModelSpec"),
        (request(model="", x=X), INVALID, "ModelSpec has no name specified."),
        (request("none", x=X), NOT_FOUND, "Servable not found for request: Latest(none)"),
        (request(version=9, x=X), NOT_FOUND, "Servable not found for request: Specific(toy, 9)"),
        (request(label="x", x=X), INVALID, "Unrecognized servable version label: x"),
        (
            request(signature="none", x=X),
            grpc.StatusCode.FAILED_PRECONDITION,
            'Serving signature key "none" not found.',
        ),
        (
            request(signature="é" * 1000, x=X),
            grpc.StatusCode.FAILED_PRECONDITION,
            f'Serving signature key "{"é" * 500}...TRUNCATED',
        ),
        (request(label="gone", x=X), NOT_FOUND, "Servable not found for request: Specific(toy, 9)"),
        (
            request(),
            INVALID,
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. "
            "Missing but required: {x}.",
        ),
        (
            request(x=X, z=X),
            INVALID,
            "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. "
            "Missing but required: {}.",
        ),
        (
            request(x=np.int64([1])),
            INVALID,
            'Expects arg[0] to be float32 but int64 is provided (input "x")',
        ),
        (
            request(x=["text"]),
            INVALID,
            'Expects arg[0] to be float32 but string is provided (input "x")',
        ),
        (
            request(x=np.float32([[1]])),
            INVALID,
            'input "x" has shape [1,1], which does not fit [?] of signature serving_default',
        ),
        (
            request(signature="mixed", **{**MIXED, "point": np.zeros((2, 3), np.float32)}),
            INVALID,
            'input "point" has shape [2,3], which does not fit [?,2] of signature mixed',
        ),
        (
            request(signature="parse", text=["word"]),
            INVALID,
            "StringToNumberOp could not correctly convert string: word",
        ),
    ],
)
def test_a_bad_request_is_told_apart(stub, asked, code, told):
    assert refused(stub.Predict, asked) == (code, told)


@pytest.mark.parametrize(
    ("dtype", "sizes", "fields"),
    [
        (1, [10**12], {"float_val": [1.0]}),  # Would fill terabytes.
        (1, [2**40, 2**40], {"float_val": [1.0]}),
        (1, [2], {"float_val": [1.0, 2.0, 3.0]}),
        (1, [2], {"tensor_content": b"odd"}),
        (1, [-1], {"float_val": [1.0]}),
        (99, [1], {"float_val": [1.0]}),
        (20, [1], {}),  # A resource.
    ],
)
def test_a_tensor_that_does_not_hold_what_it_claims_is_refused(stub, dtype, sizes, fields):
    proto = tensor_pb2.TensorProto(**fields)
    proto.dtype = dtype
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    code, told = refused(stub.Predict, request(x=proto))
    assert code is INVALID, told
    assert list(stub.Predict(request(x=X)).outputs["y"].float_val) == [2, 3]


def test_versions_and_labels_are_chosen(stub):
    assert stub.Predict(request(x=X, version=1)).model_spec.version.value == 1
    assert stub.Predict(request(x=X, label="stable")).model_spec.version.value == 1


def examples(*values, context=None):
    """An Input; None stands for an example without the feature."""

    def example(value):
        made = tf.train.Example()
        if value is not None:
            made.features.feature["a"].float_list.value.append(value)
        return made

    made = input_pb2.Input()
    if context is None:
        made.example_list.examples.extend(map(example, values))
    else:
        made.example_list_with_context.context.CopyFrom(example(context))
        made.example_list_with_context.examples.extend(map(example, values))
    return made


def about(kind, signature, asked, model="toy"):
    made = kind(input=asked)
    made.model_spec.name, made.model_spec.signature_name = model, signature
    return made


CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
CLASSES = [[("much", 0.25), ("little", 0.75)], [("much", 0.0), ("little", 1.0)]]


def labels(result):
    return [
        [(each.label, each.score) for each in found.classes] for found in result.classifications
    ]


def test_a_signature_classifies_and_regresses_if_its_inputs_and_outputs_are_named_so(stub):
    made = about(classification_pb2.ClassificationRequest, "classes", examples(0.25, None))
    answer = stub.Classify(made)
    assert labels(answer.result) == CLASSES
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("toy", 2, "classes")
    made = about(regression_pb2.RegressionRequest, "value", examples(0.25, None, context=3))
    answer = stub.Regress(made)
    assert [each.value for each in answer.result.regressions] == [1.25, 4]
    assert answer.model_spec.signature_name == "value"


def test_several_inferences_about_the_same_examples(stub):
    many = inference_pb2.MultiInferenceRequest(input=examples(0.25, None))
    for method, signature in ((CLASSIFY, "classes"), (REGRESS, "value")):
        task = many.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "toy", signature
    classified, regressed = stub.MultiInference(many).results
    assert labels(classified.classification_result) == CLASSES
    assert [each.value for each in regressed.regression_result.regressions] == [1.25, 1]
    assert classified.model_spec.signature_name == "classes"
    assert regressed.model_spec.version.value == 2
    many.tasks[1].model_spec.signature_name = "classes"
    told = "Duplicate evaluation of signature: classes"
    assert refused(stub.MultiInference, many) == (INVALID, told)
    many.tasks[1].model_spec.signature_name = "value"
    many.tasks[1].method_name = "tensorflow/serving/predict"
    assert refused(stub.MultiInference, many)[0] is grpc.StatusCode.UNIMPLEMENTED
    many.tasks[1].model_spec.name = "dexmatch"
    assert "must access the same model" in refused(stub.MultiInference, many)[1]
    many.tasks[1].model_spec.name = ""
    assert "empty model name" in refused(stub.MultiInference, many)[1]


def test_other_methods_are_refused_to_signatures_that_cannot_answer(stub):
    for kind, call, method, word, other in (
        (classification_pb2.ClassificationRequest, stub.Classify, CLASSIFY, "class", "value"),
        (regression_pb2.RegressionRequest, stub.Regress, REGRESS, "regress", "classes"),
    ):
        assert refused(call, kind()) == (INVALID, "Missing ModelSpec")
        for signature, told in (
            ("", f"No {word}.*ion inputs found in SignatureDef: "),
            ("mixed", "Expected one input Tensor."),
            (other, "Expected (classification signature outputs to contain|one output Tensor)"),
        ):
            code, message = refused(call, about(kind, signature, examples(1)))
            assert code is INVALID and re.match(told, message), message
            many = inference_pb2.MultiInferenceRequest()
            task = many.tasks.add(method_name=method)
            task.model_spec.name, task.model_spec.signature_name = "toy", signature
            assert refused(stub.MultiInference, many) == (code, message)
        code, message = refused(call, about(kind, "none", examples(1)))
        assert (code, message) == (INVALID, "No signature was found with the name: none")
        good = "classes" if other == "value" else "value"
        assert refused(call, about(kind, good, examples())) == (INVALID, "Input is empty.")
        assert refused(call, about(kind, good, examples(1), "none"))[0] is NOT_FOUND
    assert refused(stub.MultiInference, inference_pb2.MultiInferenceRequest())[0] is INVALID


@pytest.mark.parametrize("content", [b"\x01", b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f"])
def test_bytes_that_are_no_message_are_the_senders_mistake_and_leave_the_log_alone(
    channel, server, content
):
    said = list(server.said)
    for service, method in (
        ("PredictionService", "Predict"),
        ("PredictionService", "Classify"),
        ("PredictionService", "MultiInference"),
        ("PredictionService", "GetModelMetadata"),
        ("ModelService", "GetModelStatus"),
        ("ModelService", "HandleReloadConfigRequest"),
    ):
        code, told = refused(
            channel.unary_unary(f"/tensorflow.serving.{service}/{method}"), content
        )
        assert (code, told) == (INVALID, "The request is no message of this method")
    call = channel.unary_unary("/grpc.health.v1.Health/Check")
    assert refused(call, content)[0] is INVALID
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
    with pytest.raises(grpc.RpcError) as error:
        next(watch(content, timeout=60))
    assert error.value.code() is INVALID
    assert list(server.said) == said


@pytest.mark.parametrize("content", [b"x", b"\xff\xd8", b"\n\x05\xe6\xd8"])
def test_examples_that_are_none_are_the_senders_mistake(stub, content):
    code, told = refused(stub.Predict, request("dexmatch", "serve_examples", examples=[content]))
    assert code is INVALID and "Could not parse example input" in told


def test_metadata_is_the_signatures(stub):
    asked = get_model_metadata_pb2.GetModelMetadataRequest()
    assert refused(stub.GetModelMetadata, asked) == (INVALID, "Missing ModelSpec")
    asked.model_spec.name = "toy"
    assert refused(stub.GetModelMetadata, asked)[0] is INVALID
    asked.metadata_field.append("nonsense")
    code, told = refused(stub.GetModelMetadata, asked)
    assert (code, told) == (INVALID, "Metadata field nonsense is not supported")
    asked.metadata_field[:] = ["signature_def"]
    response = stub.GetModelMetadata(asked)
    assert (response.model_spec.name, response.model_spec.version.value) == ("toy", 2)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    mixed = signatures.signature_def["mixed"]
    assert mixed.method_name == "tensorflow/serving/predict"
    assert [dim.size for dim in mixed.inputs["point"].tensor_shape.dim] == [-1, 2]
    asked.model_spec.name = "none"
    assert refused(stub.GetModelMetadata, asked)[0] is NOT_FOUND


def test_status_tells_of_all_versions_or_one(models_stub):
    asked = get_model_status_pb2.GetModelStatusRequest()
    assert refused(models_stub.GetModelStatus, asked) == (INVALID, "Missing ModelSpec")
    asked.model_spec.name = "toy"
    found = models_stub.GetModelStatus(asked).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(one.version, one.state) for one in found] == [(2, available), (1, available)]
    assert all(one.HasField("status") and not one.status.error_code for one in found)
    asked.model_spec.version.value = 1
    assert [one.version for one in models_stub.GetModelStatus(asked).model_version_status] == [1]
    asked.model_spec.version.value = 9
    assert refused(models_stub.GetModelStatus, asked) == (
        NOT_FOUND,
        "Could not find version 9 of model toy",
    )
    for label in ("stable", "none"):
        asked.model_spec.version_label = label
        answer = models_stub.GetModelStatus(asked).model_version_status
        assert [one.version for one in answer] == [2, 1]
    for name in ("none", ""):
        asked.model_spec.Clear()
        asked.model_spec.name = name
        asked.model_spec.SetInParent()
        assert refused(models_stub.GetModelStatus, asked) == (
            NOT_FOUND,
            f"Could not find any versions of model {name}",
        )


def test_the_configuration_is_reloaded_on_request(stub, models_stub, config, toy):
    asked = model_management_pb2.ReloadConfigRequest()
    assert refused(models_stub.HandleReloadConfigRequest, asked)[0] is INVALID
    asked.config.CopyFrom(config)
    asked.config.MergeFrom(files.one_model("twin", toy))
    assert models_stub.HandleReloadConfigRequest(asked).status.error_code == 0
    assert list(stub.Predict(request("twin", x=X)).outputs["y"].float_val) == [2, 3]
    asked.config.model_config_list.config.add(name="twin", base_path="/", model_platform="x")
    assert refused(models_stub.HandleReloadConfigRequest, asked)[0] is INVALID
    asked.config.CopyFrom(config)
    asked.metric_names.extend(["/tensorflow/serving/request_count", "/none"])
    answer = models_stub.HandleReloadConfigRequest(asked)
    assert {each.name: each.int64_value_increase for each in answer.metric} == {
        "/tensorflow/serving/request_count": 0,
        "/none": 0,
    }
    assert refused(stub.Predict, request("twin", x=X))[0] is NOT_FOUND
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "twin"
    end = get_model_status_pb2.ModelVersionStatus.END
    (state,) = models_stub.GetModelStatus(asked).model_version_status
    # It is unloaded once nobody is answered by it any more.
    for _ in range(600):
        if state.state == end:
            break
        time.sleep(0.1)
        (state,) = models_stub.GetModelStatus(asked).model_version_status
    assert (state.version, state.state) == (1, end)


def test_too_large_a_message_is_refused(stub):
    code, _ = refused(stub.Predict, request("dexmatch", image=[b"x" * 10**6], caption=["a"]))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_the_health_service_answers(channel):
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    for name in ("", "PredictionService", "ModelService"):
        assert check(HealthCheckRequest(service=name), timeout=60).status == SERVING
    assert refused(check, HealthCheckRequest(service="none"))[0] is NOT_FOUND
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    for name, status in (("", SERVING), ("none", SERVICE_UNKNOWN)):
        stream = watch(HealthCheckRequest(service=name), timeout=60)
        assert next(stream).status == status
        stream.cancel()

"""Random requests, good ones and spoilt ones, which the embedded server must tell apart.

    python -m benchmarks.serving_fuzz --model serving_model/dexmatch
    python -m benchmarks.serving_fuzz --requests 500 --seed 7

Each request is made from the seed and its number: a good one, spoilt in its structure, its types,
its sizes or its bytes, or left as it is. None may be answered with 500, UNKNOWN or INTERNAL, nor
with NaN or Infinity, nor not at all. Exit status 1: some were; they are named.
"""

import os

# Before TensorFlow is loaded.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import base64
import dataclasses
import gzip
import http.client
import io
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import Message
from PIL import Image
from rich.table import Table
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from benchmarks import tables
from core import features, terminal
from core.errors import DexmatchError
from modules.export import signatures
from results import versions
from serving import engines

MODEL = "dexmatch"
REQUESTS = 10_000
_PATIENCE_S = 60
_MOST_NAMED = 10
_MOST_ROWS = 40
"""More than a server that joins requests takes."""
_FAULTS = frozenset(("500", "UNKNOWN", "INTERNAL", "no answer", "no JSON", "not finite"))
_WORDS = (
    "a",
    "red",
    "blue",
    "bird",
    "fish",
    "",
    "ä",
    "東京",
    "🦉",
    "?!",
    "x" * 300,
    "\x00",
    "\u202e",
)
_SCALARS: tuple[Any, ...] = (
    *(0, -1, 1, 7, 2**24 + 1, 2**31, -(2**63), 2**63, 2**64, 10**30, 10**400),
    *(0.5, -0.0, 1e-320, 3e38, 1e39, math.inf, -math.inf, math.nan),
    *(True, False, None, "", "text", "\x00", "\ud800", "NaN"),
    *([], {}, [[]], {"b64": "AAAA"}, {"b64": "?"}, {"b64": 5}, {"b64": "", "more": 1}),
)
_TOKENS = (
    b"NaN",
    b"-NaN",
    b"Inf",
    b"1e999",
    b"-",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b",",
    b"\xff",
    b"\0",
)


@dataclasses.dataclass(frozen=True, slots=True)
class RestRequest:
    """A request over HTTP.

    Attributes:
      kind: how it was spoilt.
      path: as it is sent, URL-encoded.
    """

    kind: str
    method: str
    path: str
    body: bytes
    headers: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class RpcRequest:
    """A request over gRPC.

    Attributes:
      kind: how it was spoilt.
      method: as in `/tensorflow.serving.PredictionService/Predict`.
      body: a serialized message, or what is left of one.
    """

    kind: str
    method: str
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the requests over one API.

    Attributes:
      counts: number of requests by how they were spoilt and what was answered.
      faults: a line for each answer that must not be.
    """

    counts: Counter[tuple[str, str]]
    faults: list[str]


def fuzz_rest(address: str, count: int, seed: int, width: int) -> Outcome:
    """Asks a server over REST.

    Args:
      address: as in `127.0.0.1:8501`.
      width: of the model's embeddings.
    """
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE_S)

    def ask(request: RestRequest) -> tuple[str, str]:
        try:
            connection.request(request.method, request.path, request.body, request.headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return "no answer", repr(error)
        if response.status == http.client.OK and content:
            try:
                json.loads(content, parse_constant=_refuse)
            except ValueError as error:
                return "no JSON", str(error)
        return str(response.status), content[:300].decode("utf-8", "replace")

    return _outcome(count, lambda number: rest_request(number, seed, width), ask)


def fuzz_grpc(address: str, count: int, seed: int, width: int) -> Outcome:
    """Asks a server over gRPC; see `fuzz_rest`."""
    with grpc.insecure_channel(address) as channel:

        def ask(request: RpcRequest) -> tuple[str, str]:
            try:
                answer = channel.unary_unary(request.method)(request.body, timeout=_PATIENCE_S)
            except grpc.RpcError as error:
                return error.code().name, error.details() or ""
            if request.method.endswith("/Predict"):
                response = predict_pb2.PredictResponse.FromString(answer)
                for name, proto in response.outputs.items():
                    if not np.isfinite(tf.make_ndarray(proto)).all():
                        return "not finite", name
            return "OK", ""

        return _outcome(count, lambda number: rpc_request(number, seed, width), ask)


def rest_request(number: int, seed: int, width: int) -> RestRequest:
    """The number-th request over REST, always the same for a seed."""
    source = random.Random(f"REST {seed} {number}")
    kind = source.choice(("good", "structure", "numbers", "size", "bytes", "path", "gzip"))
    document = _document(source, width, is_sound=kind == "good")
    path, headers = f"/v1/models/{MODEL}:predict", {}
    if kind == "structure":
        for _ in range(source.randint(1, 3)):
            document = _spoilt(source, document, _SCALARS)
    elif kind == "numbers":
        document = _spoilt(source, document, [each for each in _SCALARS if _is_number(each)])
    elif kind == "size":
        key = "instances" if "instances" in document else "inputs"
        document[key] = _resized(source, document[key])
    body = json.dumps(document, ensure_ascii=source.random() < 0.5).encode("utf-8", "surrogatepass")
    if kind == "bytes":
        body = _spoilt_bytes(source, body, _TOKENS)
    elif kind == "gzip":
        body = gzip.compress(body, mtime=0)
        headers["Content-Encoding"] = source.choice(("gzip", "x-gzip", "deflate"))
        if source.random() < 0.5:
            body = _spoilt_bytes(source, body, _TOKENS)
    elif kind == "path":
        method, path = _method_and_path(source)
        if source.random() < 0.3:
            headers["Origin"] = source.choice(("http://a", "null", ""))
        return RestRequest(kind, method, path, body if method == "POST" else b"", headers)
    return RestRequest(kind, "POST", path, body, headers)


def rpc_request(number: int, seed: int, width: int) -> RpcRequest:
    """The number-th request over gRPC, always the same for a seed."""
    source = random.Random(f"gRPC {seed} {number}")
    kind = source.choice(("good", "tensors", "names", "bytes", "method"))
    message: Message = _predict(source, width, is_sound=kind == "good")
    method = "PredictionService/Predict"
    if kind == "tensors":
        for _ in range(source.randint(1, 3)):
            _spoil_tensor(source, message)
    elif kind == "names":
        _spoil_names(source, message)
    elif kind == "method":
        method, message = _other_method(source)
    body = message.SerializeToString(deterministic=True)
    if kind == "bytes" or (kind == "method" and source.random() < 0.3 and "Reload" not in method):
        body = _spoilt_bytes(source, body, (b"\xff" * 9, b"\0", b"\x0a\x7f", body[:9]))
    return RpcRequest(kind, f"/tensorflow.serving.{method}", body)


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _outcome(
    count: int, make: Callable[[int], Any], ask: Callable[[Any], tuple[str, str]]
) -> Outcome:
    counts: Counter[tuple[str, str]] = Counter()
    faults = []
    for number in range(count):
        request = make(number)
        code, said = ask(request)
        counts[request.kind, code] += 1
        if code in _FAULTS:
            faults.append(f"{number} ({request.kind}): {code}: {said}")
    return Outcome(counts, faults)


def _caption(source: random.Random) -> str:
    return " ".join(source.choices(_WORDS, k=source.randint(0, 8)))


def _picture(source: random.Random, is_sound: bool) -> bytes:
    if source.random() < 0.2:
        return source.randbytes(source.randint(0, 200))
    size = source.randint(1, 40), source.randint(1, 40)
    pixels = Image.frombytes("RGB", size, source.randbytes(3 * size[0] * size[1]))
    encoded = io.BytesIO()
    pixels.save(encoded, source.choice(("PNG", "JPEG", "GIF", "BMP")))
    content = encoded.getvalue()
    if is_sound or source.random() < 0.7:
        return content
    return _spoilt_bytes(source, content, _TOKENS)


def _example(source: random.Random, is_sound: bool) -> bytes:
    example = tf.train.Example()
    for name, value in (
        (features.IMAGE, _picture(source, is_sound)),
        (features.CAPTION, _caption(source).encode()),
    ):
        if source.random() < 0.9:
            example.features.feature[name].bytes_list.value.append(value)
    content = example.SerializeToString(deterministic=True)
    if is_sound or source.random() < 0.7:
        return content
    return _spoilt_bytes(source, content, _TOKENS)


def _value(source: random.Random, name: str, width: int, is_sound: bool) -> Any:
    """A row of an input of the pushed model: bytes, or floats."""
    if name == features.IMAGE:
        return _picture(source, is_sound)
    if name == features.CAPTION:
        return _caption(source).encode()
    if name == features.EXAMPLES:
        return _example(source, is_sound)
    return [source.gauss(0, 1) for _ in range(width)]


def _rows(source: random.Random, width: int, is_sound: bool) -> tuple[str, list[dict[str, Any]]]:
    """The name of a signature, and rows of its inputs."""
    signature = source.choice(tuple(signatures.CONTRACT))
    inputs, _ = signatures.CONTRACT[signature]
    count = source.randint(1, 3)
    rows = [{name: _value(source, name, width, is_sound) for name in inputs} for _ in range(count)]
    return signature, rows


def _document(source: random.Random, width: int, is_sound: bool) -> dict[str, Any]:
    signature, rows = _rows(source, width, is_sound)
    shown: list[Any] = [{name: _shown(value) for name, value in row.items()} for row in rows]
    if source.random() < 0.5:
        return {"signature_name": signature, "instances": shown}
    columns = {name: [row[name] for row in shown] for name in shown[0]}
    return {"signature_name": signature, "inputs": columns}


def _shown(value: Any) -> Any:
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _spoilt(source: random.Random, value: Any, replacements: Any) -> Any:
    """A copy in which one part, somewhere, is another, is missing or is nested."""
    if isinstance(value, dict) and value and source.random() < 0.85:
        key = source.choice(tuple(value))
        if source.random() < 0.1:
            return {name: each for name, each in value.items() if name != key}
        return {**value, key: _spoilt(source, value[key], replacements)}
    if isinstance(value, list) and value and source.random() < 0.85:
        place = source.randrange(len(value))
        return [*value[:place], _spoilt(source, value[place], replacements), *value[place + 1 :]]
    if source.random() < 0.1:
        for _ in range(source.choice((1, 2, 70))):
            value = [value]
        return value
    return source.choice(replacements)


def _resized(source: random.Random, value: Any) -> Any:
    """With other numbers of rows, or of values in them."""
    if isinstance(value, dict) and value:
        key = source.choice(tuple(value))
        return {**value, key: _resized(source, value[key])}
    if isinstance(value, list) and value:
        if isinstance(value[0], list | dict) and source.random() < 0.5:
            return [_resized(source, value[0]), *value[1:]]
        return value * source.choice((0, 2, 3, _MOST_ROWS))
    return [value]


def _spoilt_bytes(source: random.Random, content: bytes, pieces: tuple[bytes, ...]) -> bytes:
    """With bytes that are changed, left out or put in."""
    for _ in range(source.randint(1, 4)):
        place = source.randint(0, len(content))
        match source.randrange(4):
            case 0:
                content = content[:place]
            case 1:
                content = content[:place] + source.choice(pieces) + content[place:]
            case 2:
                content = content[:place] + content[place + source.randint(1, 9) :]
            case 3:
                content = content[:place] + source.randbytes(1) + content[place + 1 :]
    return content


def _method_and_path(source: random.Random) -> tuple[str, str]:
    name = source.choice((MODEL, "other", "", "%ff", "a" * 300, quote("東京"), MODEL.upper()))
    number = source.choice(("1", "01", "0", "9" * 19, "9" * 20, "9" * 5000, "x", quote("１")))
    where = source.choice(
        ("", f"/versions/{number}", "/labels/stable", f"/versions/{number}/labels/a")
    )
    what = source.choice(
        (":predict", ":classify", ":regress", ":PREDICT", "", "/metadata", "/x", ":x")
    )
    prefix = source.choice(("/v1/models/", "/V1/Models/", "/v1/", "/v2/models/", "/", "/v1/models"))
    query = source.choice(("", "", "", "?a=b", "?"))
    method = source.choice(
        ("GET", "POST", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")
    )
    return method, f"{prefix}{name}{where}{what}{query}"


def _predict(source: random.Random, width: int, is_sound: bool) -> predict_pb2.PredictRequest:
    signature, rows = _rows(source, width, is_sound)
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = MODEL, signature
    for name in rows[0]:
        values = [row[name] for row in rows]
        dtype = tf.string if isinstance(values[0], bytes) else tf.float32
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype))
    return request


def _spoil_tensor(source: random.Random, request: Any) -> None:
    tensor = request.inputs[source.choice(sorted(request.inputs))]
    dims = tensor.tensor_shape.dim
    match source.randrange(8):
        case 0:
            tensor.dtype = source.choice(types_pb2.DataType.values())
        case 1 if dims:
            source.choice(dims).size = source.choice((-1, 0, 1, 2, _MOST_ROWS, 2**20, 2**62))
        case 2:
            dims.add(size=source.choice((0, 1, 2, 2**40)))
        case 3:
            tensor.tensor_content = source.randbytes(source.choice((0, 1, 4, 64, 4096)))
        case 4:
            tensor.ClearField(source.choice(("float_val", "string_val", "tensor_shape", "dtype")))
        case 5:
            tensor.tensor_shape.unknown_rank = True
        case 6:
            tensor.float_val.append(source.choice((0.0, 1e38, math.inf, -math.inf, math.nan)))
        case _:
            tensor.string_val.append(source.randbytes(source.randint(0, 9)))


def _spoil_names(source: random.Random, request: Any) -> None:
    spec = request.model_spec
    match source.randrange(7):
        case 0:
            spec.name = source.choice(("", "other", "\x00", "x" * 5000))
        case 1:
            spec.signature_name = source.choice(("other", "é" * 2000, "__saved_model_init_op"))
        case 2:
            spec.version.value = source.choice((-1, 0, 1, 2**63 - 1))
        case 3:
            spec.version_label = source.choice(("stable", "", "\n"))
        case 4:
            name = source.choice(sorted(request.inputs))
            request.inputs[source.choice(("other", "", "x" * 5000))].CopyFrom(request.inputs[name])
        case 5:
            del request.inputs[source.choice(sorted(request.inputs))]
        case _:
            names = ("probability", "embedding", "other", "")
            request.output_filter.extend(source.choices(names, k=source.randint(1, 3)))


def _other_method(source: random.Random) -> tuple[str, Any]:
    name = source.choice((MODEL, "other", ""))
    signature = source.choice((signatures.SERVE_EXAMPLES, "", "other"))
    match source.randrange(6):
        case 0:
            method, message = (
                "PredictionService/Classify",
                classification_pb2.ClassificationRequest(),
            )
        case 1:
            method, message = "PredictionService/Regress", regression_pb2.RegressionRequest()
        case 2:
            many = inference_pb2.MultiInferenceRequest()
            for _ in range(source.randint(0, 3)):
                kind = source.choice(("classify", "regress", "predict"))
                task = many.tasks.add(method_name=f"tensorflow/serving/{kind}")
                task.model_spec.name, task.model_spec.signature_name = name, signature
            return "PredictionService/MultiInference", many
        case 3:
            asked = get_model_metadata_pb2.GetModelMetadataRequest()
            asked.model_spec.name = name
            asked.metadata_field.extend(
                source.choices(("signature_def", "x"), k=source.randint(0, 2))
            )
            return "PredictionService/GetModelMetadata", asked
        case 4:
            status = get_model_status_pb2.GetModelStatusRequest()
            status.model_spec.name = name
            if source.random() < 0.5:
                status.model_spec.version.value = source.choice((-1, 1, 2**62))
            return "ModelService/GetModelStatus", status
        case _:
            # Never one that makes sense: it would change what is served.
            reload = model_management_pb2.ReloadConfigRequest()
            if source.random() < 0.7:
                reload.config.model_config_list.config.add(name=name, base_path="no/absolute/path")
            return "ModelService/HandleReloadConfigRequest", reload
    message.model_spec.name, message.model_spec.signature_name = name, signature
    for _ in range(source.randint(0, 3)):
        message.input.example_list.examples.add()
    return method, message


def show(api: str, outcome: Outcome) -> None:
    """Prints the counts, and the first of the faults."""
    codes = sorted({code for _, code in outcome.counts})
    table = Table(title=f"{api}: {outcome.counts.total():,} requests")
    table.add_column("spoilt")
    for code in codes:
        table.add_column(code, justify="right")
    for kind in sorted({kind for kind, _ in outcome.counts}):
        table.add_row(kind, *(f"{outcome.counts[kind, code]:,}" for code in codes))
    tables.show(table)
    for line in outcome.faults[:_MOST_NAMED]:
        terminal.say(f"{api} request {line}")


def embedding_width(version: Path) -> int:
    """The width of a SavedModel's embeddings."""
    loaded = tf.saved_model.load(str(version)).signatures[signatures.SCORE_EMBEDDINGS]
    spec = loaded.structured_input_signature[1][features.IMAGE_EMBEDDING]
    return int(spec.shape[1])


def main() -> None:
    """Fuzzes a server of its own, and prints tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving_fuzz", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--model", type=Path, default=Path("serving_model", MODEL))
    parser.add_argument("--requests", type=int, default=REQUESTS, help="over each API")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    served = versions.served(versions.list_versions(arguments.model))
    if served is None:
        raise DexmatchError(
            f"{arguments.model}: no pushed model; run the pipeline, or give --model"
        )
    width = embedding_width(served.path)
    options = engines.Options(MODEL, arguments.model.resolve(), grpc_port=0, rest_port=0)
    count, seed = arguments.requests, arguments.seed
    with engines.running(engines.choose("embedded"), options) as server:
        rest = fuzz_rest(server.rest_url.removeprefix("http://"), count, seed, width)
        rpc = fuzz_grpc(server.grpc_address, count, seed, width)
    show("REST", rest)
    show("gRPC", rpc)
    sys.exit(bool(rest.faults or rpc.faults))


if __name__ == "__main__":
    main()

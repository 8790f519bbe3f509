"""The REST API, point by point after TensorFlow Serving, asked over a socket."""

import base64
import gzip
import json
import shutil

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf

from serving.files import PROMETHEUS_PATH
from serving.server.core import CoreOptions
from serving.server.rest import HTTP_STATUS, RestSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(pushed, toy, tmp_path_factory):
    """Models by name; one name needs URL encoding, one has two versions."""
    two = tmp_path_factory.mktemp("two") / "two"
    for version in ("1", "2"):
        shutil.copytree(toy / "1", two / version)
    return {"dexmatch": pushed, "toy": toy, "a b/c:d": two}


@pytest.fixture(scope="module")
def client(support, folders):
    settings = RestSettings(monitoring_path=PROMETHEUS_PATH, max_body_bytes=1 << 20)
    with (
        support.serving(folders, settings) as url,
        httpx.Client(base_url=url, timeout=60) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def picture():
    pixels = np.random.default_rng(3).integers(0, 256, (40, 30, 3), np.uint8)
    return tf.io.encode_png(pixels).numpy()


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


def error_of(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert list(document) == ["error"]
    return document["error"]


def predict(client, name, body, status=200):
    response = client.post(f"/v1/models/{name}:predict", json=body)
    assert response.status_code == status, response.text
    return response.json()


def test_pairs_get_the_probabilities_of_the_saved_model(client, pushed, picture):
    captions = ["a red bird", "", "blue fish"]
    pictures = [picture, picture, b"no picture"]
    rows = [{"image": b64(p), "caption": c} for p, c in zip(pictures, captions, strict=True)]
    answer = predict(client, "dexmatch", {"instances": rows})
    loaded = tf.saved_model.load(str(pushed / "1"))
    expected = loaded.signatures["serving_default"](
        image=tf.constant(pictures), caption=tf.constant(captions)
    )
    assert list(answer) == ["predictions"]
    np.testing.assert_allclose(answer["predictions"], expected["probability"], atol=1e-5)
    assert answer["predictions"][1:] == [0.0, 0.0]
    assert 0 < answer["predictions"][0] < 1
    columns = {"image": [b64(p) for p in pictures], "caption": captions}
    assert predict(client, "dexmatch", {"inputs": columns}) == {"outputs": answer["predictions"]}


def test_every_signature_of_the_pushed_model_answers(client, picture):
    def ask(signature, rows):
        body = {"signature_name": signature, "instances": rows}
        return predict(client, "dexmatch", body)["predictions"]

    [image] = ask("encode_image", [{"image": b64(picture)}])
    [caption] = ask("encode_caption", ["a red bird"])
    [by_embedding] = ask(
        "score_embeddings", [{"image_embedding": image, "caption_embedding": caption}]
    )
    feature = {"image": [picture], "caption": [b"a red bird"]}
    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
                for name, values in feature.items()
            }
        )
    )
    [by_example] = ask("serve_examples", [b64(example.SerializeToString())])
    [direct] = ask("serving_default", [{"image": b64(picture), "caption": "a red bird"}])
    assert by_embedding == pytest.approx(direct, abs=1e-5)
    assert by_example == pytest.approx(direct, abs=1e-5)


def test_several_outputs_are_objects(client):
    rows = [{"count": 2, "point": [3, 4], "text": "a"}, {"count": 3, "point": [0, 0], "text": ""}]
    body = {"signature_name": "mixed", "instances": rows}
    expected = [
        {"doubled": 4, "norm": 5.0, "is_far": True, "text_bytes": b64(b"a\0!")},
        {"doubled": 6, "norm": 0.0, "is_far": False, "text_bytes": b64(b"\0!")},
    ]
    assert predict(client, "toy", body) == {"predictions": expected}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    answer = predict(client, "toy", {"signature_name": "mixed", "inputs": columns})
    assert answer["outputs"] == {n: [row[n] for row in expected] for n in expected[0]}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/models/toy:predict", 200),
        ("/V1/MODELS/toy/VERSIONS/1:PREDICT", 200),
        ("/v1/models/%74oy/versions/1:predict", 200),
        ("/v1/models/a%20b%2Fc%3Ad/versions/2:predict", 200),
        ("/v1/models/a%20b%2Fc%3Ad/versions/3:predict", 404),
        ("/v1/models/toy/versions/2:predict", 404),
        ("/v1/models/Toy:predict", 404),
        ("/v1/models/other:predict", 404),
        ("/v1/models/toy/labels/stable:predict", 400),
        ("/v1/models/toy/versions/1/labels/stable:predict", 400),
        ("/v1/models/toy/versions/9223372036854775808:predict", 400),
        (f"/v1/models/toy/versions/{'9' * 4301}:predict", 400),
        ("/v1/models/toy/versions/%EF%BC%91:predict", 400),
        ("/v1/models/toy/versions/x:predict", 400),
        ("/v1/models/toy:predict?a=b", 400),
        ("/v1/models/toy/:predict", 400),
        ("/v1/models/toy", 400),
        ("/v1/other", 400),
        ("/v2/models/toy:predict", 404),
        ("/", 404),
    ],
)
def test_paths(client, path, expected):
    response = client.post(path, content=b'{"instances": [1.5]}')
    if expected == 200:
        assert response.json() == {"predictions": [2.5]}
    else:
        error_of(response, expected)


def test_a_malformed_request_is_told_as_it_came(client):
    for method, path in [("GET", "/v1/foo"), ("PUT", "/v1/models/toy"), ("POST", "/v1/%41?b=c")]:
        assert error_of(client.request(method, path), 400) == f"Malformed request: {method} {path}"
    assert error_of(client.get("/v1/models/toy:predict"), 400).startswith("Malformed request: GET")
    assert client.head("/v1/models/toy").status_code == 400
    assert error_of(client.get("/v1/models"), 400) == "Missing model name in request."


def test_an_unknown_signature(client):
    response = client.post("/v1/models/toy:predict", json={"signature_name": "X", "inputs": [1]})
    assert error_of(response, 400) == 'Serving signature name: "X" not found in signature def'


def test_a_bad_body_is_told_before_an_unknown_model(client):
    assert error_of(client.post("/v1/models/other:predict", content=b""), 400) == (
        "JSON Parse error: The document is empty"
    )
    assert error_of(client.post("/v1/models/other:predict", json={}), 404)


def test_a_signature_classifies_and_regresses_if_its_inputs_and_outputs_are_named_so(client):
    body = {"examples": [{"a": 0.25}, {"a": [0.5], "b": ["c", b64(b"\xff")], "d": [1, True]}, {}]}
    response = client.post("/v1/models/toy:classify", json={"signature_name": "classes", **body})
    assert response.json() == {
        "results": [
            [["much", 0.25], ["little", 0.75]],
            [["much", 0.5], ["little", 0.5]],
            [["much", 0.0], ["little", 1.0]],
        ]
    }
    response = client.post("/v1/models/toy:regress", json={"signature_name": "value", **body})
    assert response.json() == {"results": [1.25, 1.5, 1.0]}
    body = {"examples": [{"a": 1.0}, {}], "context": {"a": 0.5}}
    response = client.post("/v1/models/toy:regress", json={"signature_name": "value", **body})
    assert response.json() == {"results": [2.0, 1.5]}
    # Infinity, as 1e39 becomes one.
    body = {"signature_name": "value", "examples": [{"a": 1e39}]}
    assert client.post("/v1/models/toy:regress", json=body).text == '{"results": [Infinity]}'


@pytest.mark.parametrize(
    ("api", "kind"), [("classify", "classification"), ("regress", "regression")]
)
def test_classify_and_regress_are_refused_where_they_cannot_be(client, api, kind):
    def refused(body, status=400, model="toy"):
        return error_of(client.post(f"/v1/models/{model}:{api}", json=body), status)

    good = {"examples": [{"a": [1, True], "b": 1.5, "c": ["d", b64(b"e")], "f": []}], "context": {}}
    assert refused(good).startswith(f"No {kind} inputs found in SignatureDef: ")
    assert refused({**good, "signature_name": "X"}) == "No signature was found with the name: X"
    assert refused({**good, "signature_name": "mixed"}) == "Expected one input Tensor."
    refused(good, 404, "other")
    assert refused({"context": 5}) == "Example must be JSON object but got JSON Number"
    assert refused({"examples": []}).endswith("'examples' value is an empty array")
    assert refused({"examples": 5}).endswith("Expecting 'examples' value to be an list/array")
    assert "'examples' is expected" in refused({"instances": [1]})
    assert refused({"examples": [{"a": [1, "b"]}]}) == (
        "Unexpected element type in feature: a expecting type: int64"
    )
    assert refused({"examples": [{"a": None}]}) == (
        "Feature: a has element with unexpected JSON type: Null"
    )
    assert refused({"examples": [{"a": 2**63}]}) == (
        "Feature: a has uint64_t element. Only int64_t is supported."
    )
    bad = b'{"examples": [{"a": 1e999}]}'
    assert "too big" in error_of(client.post(f"/v1/models/toy:{api}", content=bad), 400)


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("serving_default", {"instances": ["a"]}),
        ("serving_default", {"inputs": 1.5}),
        ("mixed", {"inputs": {"count": [1], "point": [[1.0]], "text": ["a"]}}),
        ("mixed", {"inputs": {"count": [1]}}),
        ("summary", {"instances": [1.0, 2.0]}),
        ("parse", {"instances": ["no number"]}),
        ("value", {"instances": ["no example"]}),
    ],
)
def test_what_the_model_cannot_take_or_the_format_cannot_hold(client, signature, body):
    response = client.post("/v1/models/toy:predict", json={"signature_name": signature, **body})
    error_of(response, 400)


def test_scalars_and_empty_batches_in_column_format(client):
    body = {"signature_name": "scalar", "inputs": 1.5}
    assert predict(client, "toy", body) == {"outputs": 2.5}
    assert predict(client, "toy", {"inputs": []}) == {"outputs": []}


def test_nan_is_a_bare_word(client):
    response = client.post("/v1/models/toy:predict", content=b'{"instances": [NaN, -Infinity]}')
    assert response.text == '{"predictions": [NaN, -Infinity]}'


def test_status(client):
    ok = {"error_code": "OK", "error_message": ""}
    one = {"version": "1", "state": "AVAILABLE", "status": ok}
    assert client.get("/v1/models/toy").json() == {"model_version_status": [one]}
    answer = client.get("/v1/models/a%20b%2Fc%3Ad")
    assert answer.headers["content-type"] == "application/json"
    assert {each["version"] for each in answer.json()["model_version_status"]} == {"1", "2"}
    assert client.get("/V1/models/a%20b%2Fc%3Ad/Versions/1").json() == {
        "model_version_status": [one]
    }
    error_of(client.get("/v1/models/toy/versions/7"), 404)
    error_of(client.get("/v1/models/other"), 404)


def test_metadata(client):
    answer = client.get("/v1/models/toy/versions/1/metadata").json()
    assert answer["model_spec"]["name"] == "toy"
    assert answer["model_spec"]["version"] == "1"
    signature = answer["metadata"]["signature_def"]["signature_def"]["mixed"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    point = signature["inputs"]["point"]
    assert point["dtype"] == "DT_FLOAT"
    assert point["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
        "unknown_rank": False,
    }
    error_of(client.get("/v1/models/other/metadata"), 404)


def test_labels(support, folders):
    options = CoreOptions(poll_s=0, labels_unavailable=True)
    toys = {"toy": folders["a b/c:d"]}
    labels = {"st:able": 1, "none": 9}
    with support.serving(toys, options=options, labels=labels) as url:
        address = f"{url}/v1/models/toy/labels/st%3Aable"
        body = {"instances": [1.0]}
        assert httpx.post(f"{address}:predict", json=body).json() == {"predictions": [2.0]}
        unloaded = httpx.post(f"{url}/v1/models/toy/labels/none:predict", json=body)
        assert error_of(unloaded, 404) == "Servable not found for request: Specific(toy, 9)"
        unknown = httpx.post(f"{url}/v1/models/toy/labels/other:predict", json=body)
        assert error_of(unknown, 400) == "Unrecognized servable version label: other"
        # The status is of all versions, whatever the label.
        for label in ("st%3Aable", "none", "other"):
            states = httpx.get(f"{url}/v1/models/toy/labels/{label}").json()
            assert [each["version"] for each in states["model_version_status"]] == ["2", "1"]


def test_every_grpc_code_has_its_http_status():
    assert HTTP_STATUS.keys() == set(grpc.StatusCode)
    assert HTTP_STATUS[grpc.StatusCode.DEADLINE_EXCEEDED] == 504
    assert HTTP_STATUS[grpc.StatusCode.CANCELLED] == 499
    assert HTTP_STATUS[grpc.StatusCode.UNAVAILABLE] == 503


def test_gzip_both_ways(client):
    values = list(range(2_000))
    response = client.post(
        "/v1/models/toy:predict",
        content=gzip.compress(json.dumps({"instances": values}).encode()),
        headers={"Content-Encoding": "gzip", "Accept-Encoding": "gzip"},
    )
    assert response.headers["content-encoding"] == "gzip"
    assert response.json()["predictions"] == [value + 1.0 for value in values]
    plain = client.post(
        "/v1/models/toy:predict",
        json={"instances": values},
        headers={"Accept-Encoding": "identity"},
    )
    assert "content-encoding" not in plain.headers
    assert plain.json() == response.json()


def test_cors_headers_only_if_asked_for(support, client, toy):
    assert "access-control-allow-origin" not in client.get("/v1/models/toy").headers
    asks = {"Origin": "https://example.org"}
    with support.serving({"toy": toy}, RestSettings(cors=True)) as url:
        for response in (
            httpx.get(f"{url}/v1/models/toy"),
            httpx.get(f"{url}/v1/models/other"),
            httpx.options(f"{url}/v1/models/toy:predict", headers=asks),
        ):
            assert response.headers["access-control-allow-origin"] == "*"
            assert response.headers["access-control-allow-methods"] == "POST, GET"
            assert response.headers["access-control-allow-headers"] == "Content-Type"
        assert response.status_code == 200
        error_of(httpx.get(f"{url}{PROMETHEUS_PATH}"), 404)


def test_options_are_for_pages_of_other_origins(client):
    for path in ("/v1/models/toy:predict", "/v1/anything"):
        assert client.options(path, headers={"Origin": "http://example.org"}).status_code == 200
        assert error_of(client.options(path), 400) == "Origin header is missing in CORS preflight"
        error_of(client.options(path, headers={"Origin": "null"}), 400)
    assert client.options("/", headers={"Origin": "http://example.org"}).status_code == 404


def test_other_content_encodings_are_taken_for_none(client):
    for encoding in ("deflate", "br", "identity", "x"):
        response = client.post(
            "/v1/models/toy:predict",
            content=b'{"instances": [1.5]}',
            headers={"Content-Encoding": encoding},
        )
        assert response.json() == {"predictions": [2.5]}


def test_the_metrics_have_no_query(client):
    response = client.get(f"{PROMETHEUS_PATH}?a=b")
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text == f"Unexpected path: {PROMETHEUS_PATH}?a=b. Should be {PROMETHEUS_PATH}"


def test_a_deadline(support, toy):
    asked = {"signature_name": "linger", "instances": [1]}
    with support.serving({"toy": toy}, RestSettings(timeout_ms=200)) as url:
        response = httpx.post(f"{url}/v1/models/toy:predict", json=asked, timeout=60)
    assert "200 ms" in error_of(response, 504)


def test_metrics(client):
    def value(line):
        page = client.get(PROMETHEUS_PATH)
        assert page.headers["content-type"].startswith("text/plain")
        for each in page.text.splitlines():
            if each.startswith(line + " "):
                return float(each.split()[-1])
        return 0.0

    good = ':tensorflow:serving:request_count{model_name="toy",status="OK"}'
    bad = ':tensorflow:serving:request_count{model_name="toy",status="INVALID_ARGUMENT"}'
    unknown = ':tensorflow:serving:request_count{model_name="unknown",status="NOT_FOUND"}'
    labels = '{API="predict",entrypoint="REST",model_name="toy"}'
    count = f":tensorflow:serving:request_latency_count{labels}"
    before = [value(line) for line in (good, bad, unknown, count)]
    predict(client, "toy", {"instances": [1]})
    predict(client, "toy", {"instances": ["a"]}, status=400)
    for number in range(3):
        predict(client, f"other{number}", {"instances": [1]}, status=404)
    after = [value(line) for line in (good, bad, unknown, count)]
    assert np.subtract(after, before).tolist() == [1, 1, 3, 1]
    page = client.get(PROMETHEUS_PATH).text
    assert "# TYPE :tensorflow:serving:request_count counter" in page
    assert "# TYPE :tensorflow:serving:request_latency histogram" in page
    bucket = ':tensorflow:serving:request_latency_bucket{API="predict",entrypoint="REST",le="18.0",'
    assert bucket in page
    assert "other0" not in page
    # What asks about no model, and what is no inference, is counted as well.
    rows = [good, *(good.replace("toy", "").replace("OK", s) for s in ("OK", "INVALID_ARGUMENT"))]
    before = [value(row) for row in rows]
    client.get("/v1/anything")
    client.get("/v1/models")
    client.get("/v1/models/toy")
    client.get("/v1/models/toy/metadata")
    client.options("/v1/", headers={"Origin": "http://example.org"})
    client.get("/elsewhere")
    assert np.subtract([value(row) for row in rows], before).tolist() == [2, 1, 2]
    assert "_created" not in page
    assert "_total" not in page


def test_two_servers_in_one_process_count_apart(support, client, toy):
    predict(client, "toy", {"instances": [1]})
    with support.serving({"toy": toy}, RestSettings(monitoring_path="/metrics")) as url:
        assert 'model_name="toy"' not in httpx.get(f"{url}/metrics").text

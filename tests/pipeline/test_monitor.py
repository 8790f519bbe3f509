"""`dexmatch monitor`: logs of every kind, against a run written as TFX leaves it."""

import base64
import functools
import gzip
import io
import json
import random

import httpx
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

from core import buckets
from core.errors import DexmatchError
from serving import engines

WORDS = ("red", "blue", "green", "bird", "fish", "tree", "with", "long", "wings", "and")
VERSION = "1795572052"


@functools.cache
def picture(height, width):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


class Pair:
    """A picture with a caption and the score that it gets; as in training unless told otherwise."""

    def __init__(self, dice, image=None, caption=None, score=None):
        self.size = dice.choice([(32, 48), (48, 48), (64, 40)])
        self.image = image or picture(*self.size)
        count = dice.choice([4, 6, 12, 18])
        words = [dice.choice(WORDS) if dice.random() < 0.9 else "rare" for _ in range(count)]
        self.caption = " ".join(words) if caption is None else caption
        self.score = dice.betavariate(0.8, 0.8) if score is None else score

    def scored(self):
        """As a BulkInferrer writes it."""
        return self.example(probability=self.score)

    def example(self, **more):
        made = tf.train.Example()
        feature = made.features.feature
        for name, value in {"id": "1", "group": "g", "caption": self.caption}.items():
            feature[name].bytes_list.value[:] = [value.encode()]
        feature["image"].bytes_list.value[:] = [self.image]
        feature["label"].int64_list.value[:] = [1]
        for name, value in more.items():
            feature[name].float_list.value[:] = [value]
        return made.SerializeToString()


def pairs(count, seed=1, **changed):
    dice = random.Random(seed)
    return [Pair(dice, **changed) for _ in range(count)]


@pytest.fixture(scope="module")
def options(support, tmp_path_factory):
    """A workspace with a run that pushed the served version, and one that did not."""
    root = tmp_path_factory.mktemp("runs")
    (root / "dexmatch").mkdir()
    (root / "serving" / "dexmatch" / VERSION).mkdir(parents=True)
    trained = pairs(600, seed=7)
    folders = {name: root / name for name in ("statistics", "examples", "model", "evaluation")}
    (folders["examples"] / "Split-train").mkdir(parents=True)
    support.write_statistics(
        folders["statistics"] / "Split-train",
        {
            "caption_length": [
                buckets.caption_length(each.caption.encode()).decode() for each in trained
            ],
            "image_height": [each.size[0] for each in trained],
            "image_width": [each.size[1] for each in trained],
        },
    )
    shard = folders["examples"] / "Split-train" / "data-00000-of-00001.gz"
    with tf.io.TFRecordWriter(str(shard), "GZIP") as writer:
        for each in trained:
            writer.write(each.example())
    assets = folders["model"] / "Format-Serving" / "assets"
    assets.mkdir(parents=True)
    (assets / "caption_words").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    slices = {"overall": {"auc": 0.8, "example_count": 600.0}}
    support.write_evaluation(folders["evaluation"], slices, [each.score for each in trained])
    store = support.Store(root / "dexmatch" / "metadata.sqlite")
    store.execute("one", "PairSampler", [("Examples", folders["examples"], {})])
    store.execute("one", "StatisticsGen", [("ExampleStatistics", folders["statistics"], {})])
    store.execute("one", "Trainer", [("Model", folders["model"], {})])
    store.execute("one", "Evaluator", [("ModelEvaluation", folders["evaluation"], {})])
    store.execute("one", "Pusher", [("PushedModel", root, {"pushed_version": VERSION})])
    store.execute("two", "ImportExampleGen")
    return [
        *("--set", f"run.workspace={root}"),
        *("--set", f"pusher.directory={root / 'serving'}"),
    ]


def prediction_log(pair, signature="serving_default", score=True):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    request.inputs["image"].CopyFrom(tf.make_tensor_proto([pair.image]))
    request.inputs["caption"].CopyFrom(tf.make_tensor_proto([pair.caption]))
    if score:
        proto = tf.make_tensor_proto(np.array([pair.score], np.float32))
        log.predict_log.response.outputs["probability"].CopyFrom(proto)
    return log.SerializeToString()


def write_records(path, records, compression=""):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return path


def rest_body(*several, columns=False):
    images = [{"b64": base64.b64encode(each.image).decode()} for each in several]
    texts = [each.caption for each in several]
    if columns:
        return {"inputs": {"image": images, "caption": texts}}
    rows = [{"image": image, "caption": text} for image, text in zip(images, texts, strict=True)]
    return {"instances": rows}


def write_lines(path, documents):
    text = "".join(
        (each if isinstance(each, str) else json.dumps(each)) + "\n" for each in documents
    )
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def states(done):
    return {each["name"]: each["state"] for each in json.loads(done.stdout)["measures"]}


EVERYTHING = (
    *("pictures", "captions", "caption length", "unknown words"),
    *("image height", "image width", "scores"),
)


def test_requests_like_the_training_data_have_not_drifted(ask, options, tmp_path):
    log = write_records(tmp_path / "log", map(prediction_log, pairs(300)))
    done = ask("monitor", log, "--json", *options)
    assert states(done) == dict.fromkeys(EVERYTHING, "ok")
    document = json.loads(done.stdout)
    assert (document["run"], document["drift"], document["requests"]) == ("one", False, 300)
    assert all(each["value"] < each["bound"] for each in document["measures"])


@pytest.mark.parametrize(
    ("changed", "drifted"),
    [
        ({"caption": "red bird " * 60}, {"caption length", "unknown words"}),
        ({"caption": "un oiseau rouge"}, {"caption length", "unknown words"}),
        ({"image": picture(64, 400)}, {"image height", "image width"}),
        ({"score": 0.99}, {"scores"}),
        ({"image": b"no picture", "score": 0.0}, {"pictures"}),
        ({"caption": "?!"}, {"captions", "caption length"}),
    ],
)
def test_what_has_drifted_is_found(ask, options, tmp_path, changed, drifted):
    log = write_records(tmp_path / "log", map(prediction_log, pairs(200, **changed)))
    found = states(ask("monitor", log, "--json", *options, status=4))
    assert {name for name, state in found.items() if state == "drift"} == drifted


def test_the_distances_are_those_of_the_shares(ask, options, tmp_path):
    """L-infinity is the largest difference of a share."""
    log = write_records(
        tmp_path / "log", map(prediction_log, pairs(200, caption="red unknown words"))
    )
    done = ask("monitor", log, "--json", *options, status=4)
    found = {each["name"]: each for each in json.loads(done.stdout)["measures"]}
    was = float(found["unknown words"]["training"].split("%")[0]) / 100
    assert 0.05 < was < 0.15
    assert found["unknown words"]["value"] == pytest.approx(2 / 3 - was, abs=0.001)
    assert (found["unknown words"]["count"], found["scores"]["count"]) == (600, 200)
    assert found["scores"]["kind"] == "Jensen-Shannon"


def test_every_kind_of_log_says_the_same(ask, options, tmp_path):
    asked = pairs(120)

    def answered(*several, **how):
        scores = [each.score for each in several]
        return {"request": rest_body(*several, **how), "response": {"predictions": scores}}

    logs = [
        write_records(tmp_path / "log", map(prediction_log, asked)),
        write_records(tmp_path / "zipped", map(prediction_log, asked), "GZIP"),
        write_records(tmp_path / "examples", [each.scored() for each in asked]),
        write_lines(tmp_path / "rows.jsonl", map(answered, asked)),
        write_lines(tmp_path / "rows.jsonl.gz", map(answered, asked)),
        write_lines(
            tmp_path / "columns.jsonl",
            (answered(*asked[at : at + 10], columns=True) for at in range(0, 120, 10)),
        ),
    ]
    found = [json.loads(ask("monitor", log, "--json", *options).stdout) for log in logs]
    for each in found:
        assert (each["captions"], each["pictures"], each["scores"]) == (120, 120, 120)
        assert each["bad_records"] == 0
        for one, other in zip(each["measures"], found[0]["measures"], strict=True):
            # gRPC has scores as float32, JSON as it was written.
            assert one["value"] == pytest.approx(other["value"], abs=1e-6)
    assert [each["requests"] for each in found] == [120] * 5 + [12]


@pytest.mark.slow
def test_the_log_that_the_embedded_engine_writes_is_read(ask, options, tiny_models, tmp_path):
    log = tmp_path / "requests.tfrecord"
    settings = engines.Options(
        *("dexmatch", tiny_models.first),
        grpc_port=0,
        rest_port=0,
        request_log=log,
        request_log_sampling=1.0,
    )
    with engines.running(engines.choose("embedded"), settings) as server:
        url = f"{server.rest_url}/v1/models/dexmatch:predict"
        for each in pairs(5):
            answer = httpx.post(url, json=rest_body(each, each), timeout=60, trust_env=False)
            assert len(answer.json()["predictions"]) == 2
    found = json.loads(ask("monitor", log, "--run", "one", "--json", *options).stdout)
    assert (found["requests"], found["captions"], found["scores"]) == (5, 10, 10)
    assert (found["unreadable_pictures"], found["bad_records"]) == (0, 0)


def test_several_logs_are_one(ask, options, tmp_path):
    one = write_records(tmp_path / "one", map(prediction_log, pairs(60)))
    two = write_lines(tmp_path / "two.jsonl", (rest_body(each) for each in pairs(60, seed=2)))
    found = json.loads(ask("monitor", one, two, "--json", *options).stdout)
    assert (found["requests"], found["captions"], found["scores"]) == (120, 120, 60)


def test_bad_lines_are_counted_and_named(ask, options, tmp_path):
    good = [rest_body(each) for each in pairs(3)]
    log = write_lines(
        tmp_path / "log.jsonl",
        [
            *(good[0], "not JSON", '{"instances": [{"caption": "no picture"}]}', "[1]", ""),
            *('{"signature_name": "nope", "instances": [1]}', '{"request": 5}', good[1]),
            {"request": good[2], "response": {"predictions": ["high"]}},
            {"request": good[2], "response": {"predictions": [7]}},
        ],
    )
    done = ask("monitor", log, "--json", *options)
    found = json.loads(done.stdout)
    assert (found["requests"], found["bad_records"]) == (2, 7)
    named = [each.removeprefix(f"{log}:").split(":")[0] for each in found["first_bad_records"]]
    assert named == ["2", "3", "4", "6", "7"]
    assert "JSON Parse error" in found["first_bad_records"][0]
    assert "nope" in found["first_bad_records"][3]
    said = ask("monitor", log, *options).stderr
    assert f"cannot be read: {log}:2: JSON Parse error" in said
    assert "2 more" in said


def test_a_log_that_was_cut_off_is_read_as_far_as_it_goes(ask, options, tmp_path):
    log = write_records(tmp_path / "log", map(prediction_log, pairs(20)))
    log.write_bytes(log.read_bytes()[:-10])
    found = json.loads(ask("monitor", log, "--json", *options).stdout)
    assert (found["requests"], found["bad_records"]) == (19, 1)
    assert found["first_bad_records"][0].startswith(f"{log}:20: damaged or cut off")


def test_records_of_another_kind_are_named(ask, options, tmp_path):
    other = prediction_log_pb2.PredictionLog()
    other.classify_log.request.model_spec.name = "dexmatch"
    (good,) = map(prediction_log, pairs(1))
    records = [other.SerializeToString(), b"\xff\xff", tf.train.Example().SerializeToString(), good]
    found = json.loads(
        ask("monitor", write_records(tmp_path / "log", records), "--json", *options).stdout
    )
    assert (found["requests"], found["bad_records"]) == (1, 3)
    assert "Classify" in found["first_bad_records"][0]


def test_few_requests_are_shown_and_not_judged(ask, options, tmp_path):
    log = write_records(tmp_path / "log", map(prediction_log, pairs(20, caption="zzz", score=0.99)))
    assert set(states(ask("monitor", log, "--json", *options)).values()) == {"too few"}
    enough = ["--set", "monitor.min_values=20"]
    found = states(ask("monitor", log, "--json", *options, *enough, status=4))
    assert found["scores"] == "drift"


def test_the_bounds_are_the_configurations(ask, options, tmp_path):
    log = write_records(tmp_path / "log", map(prediction_log, pairs(200, score=0.99)))
    ask("monitor", log, *options, status=4)
    ask("monitor", log, *options, "--set", "monitor.scores=1")


def test_of_a_search_pictures_and_captions_count_but_not_the_scores(ask, options, tmp_path):
    lines = [
        {"signature_name": "encode_caption", "inputs": {"caption": ["red bird", "green fish"]}},
        {
            "request": {
                "signature_name": "score_embeddings",
                "inputs": {"image_embedding": [[1.0]], "caption_embedding": [[1.0]]},
            },
            "response": {"outputs": [0.9]},
        },
    ]
    found = json.loads(
        ask("monitor", write_lines(tmp_path / "log.jsonl", lines), "--json", *options).stdout
    )
    assert (found["requests"], found["captions"], found["scores"]) == (2, 2, 0)
    assert found["bad_records"] == 0


def test_examples_inside_requests_are_read(ask, options, tmp_path):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "serve_examples"
    serialized = [each.example() for each in pairs(5)]
    log.predict_log.request.inputs["examples"].CopyFrom(tf.make_tensor_proto(serialized))
    path = write_records(tmp_path / "log", [log.SerializeToString()])
    found = json.loads(ask("monitor", path, "--json", *options).stdout)
    assert (found["captions"], found["pictures"]) == (5, 5)


@pytest.mark.parametrize("width", [45, 80, 120])
def test_the_table_fits_the_terminal(ask, options, tmp_path, width):
    log = write_records(tmp_path / "log", map(prediction_log, pairs(200, score=0.99)))
    lines = ask("monitor", log, *options, status=4, width=width).stdout.splitlines()
    assert max(map(len, lines)) <= width
    (scores,) = (line for line in lines if "scores" in line)
    assert "drift" in scores
    assert ("0.99 (0.99–0.99)" in scores) == (width >= 80)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{missing}"], "missing: no such file"),
        (["{empty}"], "no request with a picture or a caption"),
        (["{text}"], r"no request with a picture or a caption; .*text:1: JSON Parse error"),
        (["{text}", "--run", "7"], r"run 7: no such run; runs: 2 \(two\)"),
        (["{text}", "--run", "two"], "run two: has no Model"),
        (["{text}", "--set", "run.name=other"], "no pushed model; name a run with --run"),
        (["{text}", "--set", "monitor.scores=2"], "monitor.scores"),
    ],
)
def test_a_mistake_is_told_in_one_line(ask, options, tmp_path, arguments, said):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello\n", encoding="utf-8")
    places = {name: tmp_path / name for name in ("missing", "empty", "text")}
    with pytest.raises(DexmatchError, match=said) as error:
        ask("monitor", *options, *(each.format(**places) for each in arguments))
    assert "\n" not in str(error.value)


def test_a_run_is_named_by_an_option(ask, options, tmp_path):
    log = write_records(tmp_path / "log", map(prediction_log, pairs(5)))
    assert json.loads(ask("monitor", log, "--run", "-2", "--json", *options).stdout)["run"] == "one"

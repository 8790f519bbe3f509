"""The real executor, with the embedded model server on the other side of real sockets."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
from tfx.types import artifact_utils, standard_artifacts

from components.serving_validator import checks, executor, warmup
from core import features
from core.errors import DexmatchError
from modules.export import signatures
from results import serving_report
from serving import client
from serving.server.warmup import requests_file

pytestmark = pytest.mark.slow

PAIRS = 5
BATCHING = "max_batch_size { value: 4 } batch_timeout_micros { value: 100000 }"


class Candidate:
    """A model with what the Evaluator says of it, and examples to ask about."""

    def __init__(self, folder: Path, saved_model: Path, pictures: dict[str, bytes]):
        self.folder = folder
        self.saved_model = folder / "model" / "Format-Serving"
        shutil.copytree(saved_model, self.saved_model)
        self.model = standard_artifacts.Model()
        self.model.uri = str(folder / "model")
        self.examples = standard_artifacts.Examples()
        self.examples.uri = str(folder / "examples")
        self.examples.split_names = artifact_utils.encode_split_names(["test"])
        self.batching = BATCHING
        self.write(list(pictures.values())[:PAIRS])

    def write(self, pictures: list[bytes]) -> None:
        target = self.folder / "examples" / "Split-test"
        target.mkdir(parents=True, exist_ok=True)
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        with tf.io.TFRecordWriter(str(target / "data.gz"), options) as writer:
            for number, picture in enumerate(pictures):
                for label in (1, 0):
                    example = tf.train.Example()
                    feature = example.features.feature
                    for name, value in (
                        (features.ID, b"%d" % number),
                        (features.GROUP, b"%d" % number),
                        (features.IMAGE, picture),
                        (features.CAPTION, b"a red bird" if label else b"wrong"),
                    ):
                        feature[name].bytes_list.value.append(value)
                    feature[features.LABEL].int64_list.value.append(label)
                    writer.write(example.SerializeToString())

    def replace(self, module, kept) -> None:
        """Saves another model in its place."""
        other = self.folder / "other"
        tf.saved_model.save(module, str(other), signatures=kept)
        shutil.rmtree(self.saved_model)
        other.rename(self.saved_model)

    def validate(self, blessed: bool = True, **settings):
        verdict = standard_artifacts.ModelBlessing()
        verdict.uri = str(self.folder / "verdict")
        verdict.set_int_custom_property("blessed", int(blessed))
        (self.folder / "verdict").mkdir(exist_ok=True)
        (self.folder / "verdict" / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
        self.infra = standard_artifacts.InfraBlessing()
        self.infra.uri = str(self.folder / "infra")
        executor.Executor().Do(
            {"model": [self.model], "model_blessing": [verdict], "examples": [self.examples]},
            {"blessing": [self.infra]},
            {
                "settings": json.dumps({"engine": "embedded", **settings}),
                "split": "test",
                "seed": 1,
                "image_size": 32,
                "batching": self.batching,
            },
        )
        return serving_report.load(self.infra.uri)

    @property
    def is_blessed(self) -> bool:
        files = {path.name for path in Path(self.infra.uri).iterdir()}
        by_file = "INFRA_BLESSED" in files
        assert by_file != ("INFRA_NOT_BLESSED" in files)
        assert by_file == bool(self.infra.get_int_custom_property("blessed"))
        return by_file


@pytest.fixture
def candidate(tmp_path, tiny_models, pictures):
    return Candidate(tmp_path, tiny_models.first / "1", pictures)


def failed(report) -> dict[str, str]:
    return {check.name: check.found for check in report.failures}


def test_a_good_model_is_blessed_and_handed_on_with_its_warm_up(candidate):
    report = candidate.validate()
    assert candidate.is_blessed, report
    assert report.engine == "embedded"
    names = [check.name for check in report.checks]
    for api in ("REST", "gRPC"):
        for what in ("answers", "answers by embeddings", "latency"):
            assert f"{what} over {api}" in names
    assert {"signatures", "answers of serve_examples", "warm-up", "memory"} <= set(names)
    # Where TFX's Pusher looks.
    assert candidate.infra.get_int_custom_property("has_model") == 1
    handed_on = Path(candidate.infra.uri) / "stamped_model"
    if not handed_on.exists():
        (handed_on,) = [path for path in Path(candidate.infra.uri).iterdir() if path.is_dir()]
    assert (handed_on / "saved_model.pb").is_file()
    assert requests_file(handed_on).is_file()
    assert not requests_file(candidate.saved_model).exists()  # Artifacts are not changed.


def test_what_the_evaluator_refused_is_not_served(candidate):
    report = candidate.validate(blessed=False)
    assert not candidate.is_blessed
    assert failed(report).keys() == {"evaluation"}
    assert report.engine == ""


def test_a_missing_signature_is_refused(candidate):
    loaded = tf.saved_model.load(str(candidate.saved_model))
    kept = {name: loaded.signatures[name] for name in signatures.CONTRACT if "image" not in name}
    candidate.replace(loaded, kept)
    report = candidate.validate()
    assert not candidate.is_blessed
    assert failed(report) == {"signatures": "missing: encode_image"}
    assert not candidate.infra.get_int_custom_property("has_model")


class Batchy(tf.Module):
    """Loads, and answers right alone: in a batch, an answer depends on the neighbours."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    @tf.function
    def score(self, image, caption):
        answer = self.model.signatures["serving_default"](image=image, caption=caption)
        probability = answer[features.PROBABILITY]
        return {features.PROBABILITY: probability + 0.01 * tf.reduce_mean(probability)}


def replace_by_batchy(candidate):
    loaded = tf.saved_model.load(str(candidate.saved_model))
    batchy = Batchy(loaded)
    strings = tf.TensorSpec([None], tf.string)
    kept = {name: loaded.signatures[name] for name in signatures.CONTRACT}
    kept["serving_default"] = batchy.score.get_concrete_function(image=strings, caption=strings)
    candidate.replace(batchy, kept)


@pytest.mark.parametrize("batching", ["", BATCHING + "num_batch_threads { value: 1 }"])
def test_a_model_that_answers_otherwise_in_a_batch_is_refused(candidate, pictures, batching):
    replace_by_batchy(candidate)
    candidate.write(list(pictures.values()))
    candidate.batching = batching
    report = candidate.validate()
    assert not candidate.is_blessed
    wrong = failed(report)
    assert {"answers over REST", "answers over gRPC"} <= wrong.keys()
    assert "are wrong: " in wrong["answers over gRPC"]
    # Single pairs at the same time: wrong only if the server joins requests, as it will later.
    assert bool(batching) == any("many at once" in name for name in wrong), wrong


def test_a_server_that_answers_otherwise_is_found_out(tiny_models, pictures):
    """The model in process is another one than the one asked."""
    expected = tf.saved_model.load(str(tiny_models.first / "1"))
    pairs = [executor.TruePair(b"1", b"1", picture, b"a red bird") for picture in pictures.values()]
    asked = checks.questions(expected, pairs)
    with client.open_model(tiny_models.second) as other:
        found = checks.answers(other, "gRPC", asked, tolerance=1e-5)
    assert [check.passed for check in found] == [False, False]
    with client.open_model(tiny_models.first) as same:
        found = checks.answers(same, "gRPC", asked, tolerance=1e-5)
    assert [check.passed for check in found] == [True, True]


def test_nan_is_wrong():
    check = checks._compared("x", np.array([0.5, np.nan]), np.array([0.5, 0.5]), 1e-5)
    assert not check.passed
    assert "nan instead of 0.5" in check.found


def test_a_model_that_is_too_slow_and_too_large_is_refused(candidate):
    report = candidate.validate(max_latency_ms=0.001, max_memory_mb=0.002)
    assert not candidate.is_blessed
    wrong = failed(report)
    assert wrong.keys() == {"latency over REST", "latency over gRPC", "memory"}
    assert "at most 0.001" in wrong["latency over gRPC"]
    assert "at most 0.002" in wrong["memory"]


def test_a_model_that_does_not_load_in_the_server_is_refused(candidate, monkeypatch):
    """A warm-up request that fails keeps a model server from loading."""
    write = warmup.write

    def written(saved_model, *arguments):
        count = write(saved_model, *arguments)
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.model_spec.name = "dexmatch"
        log.predict_log.request.model_spec.signature_name = "unheard-of"
        with tf.io.TFRecordWriter(str(requests_file(saved_model))) as writer:
            writer.write(log.SerializeToString())
        return count

    monkeypatch.setattr(warmup, "write", written)
    report = candidate.validate(start_seconds=15)
    assert not candidate.is_blessed
    assert "start" in failed(report)


def test_a_split_without_pairs_is_said(candidate):
    candidate.write([])
    with pytest.raises(DexmatchError, match=r"split test holds no pair .*data.test_buckets"):
        candidate.validate()


def test_pairs_are_drawn_by_lot(candidate):
    files = [str(path) for path in (candidate.folder / "examples").rglob("*.gz")]
    ids = [pair.pair_id for pair in executor.drawn(files, 3, seed=1)]
    assert len(ids) == 3
    assert ids == [pair.pair_id for pair in executor.drawn(files, 3, seed=1)]
    assert len(executor.drawn(files, 100, seed=1)) == PAIRS
    drawn = {tuple(p.pair_id for p in executor.drawn(files, 3, seed)) for seed in range(10)}
    assert len(drawn) > 1


def test_warm_up_requests_cover_signatures_and_batch_sizes(candidate):
    loaded = tf.saved_model.load(str(candidate.saved_model))
    count = warmup.write(candidate.saved_model, loaded, "dexmatch", 32, [1, 4])
    records = tf.data.TFRecordDataset(str(requests_file(candidate.saved_model)))
    logs = [
        prediction_log_pb2.PredictionLog.FromString(each) for each in records.as_numpy_iterator()
    ]
    assert len(logs) == count == 8
    asked = {
        (
            log.predict_log.request.model_spec.signature_name,
            next(iter(log.predict_log.request.inputs.values())).tensor_shape.dim[0].size,
        )
        for log in logs
    }
    names = set(signatures.CONTRACT) - {"serve_examples"}
    assert asked == {(name, size) for name in names for size in (1, 4)}
    for log in logs:
        request = log.predict_log.request
        inputs = {key: tf.constant(tf.make_ndarray(t)) for key, t in request.inputs.items()}
        (answer,) = loaded.signatures[request.model_spec.signature_name](**inputs).values()
        assert np.abs(answer.numpy()).max() > 0  # The picture and the caption can be judged.


def test_the_report_comes_back_from_its_file(candidate):
    report = candidate.validate(blessed=False)
    text = (Path(candidate.infra.uri) / serving_report.FILE_NAME).read_text(encoding="utf-8")
    assert json.loads(text)["checks"][0]["name"] == "evaluation"
    assert serving_report.load(str(candidate.folder)) is None
    assert not report.passed

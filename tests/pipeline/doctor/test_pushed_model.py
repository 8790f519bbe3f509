"""Pushed models that a server could not load."""

import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.doctor import pushed_model, saved_model, tensorflow_process
from serving.server import warmup

SHIPPED = Path(__file__).parents[3] / "serving_model"


@pytest.fixture
def version(tiny_models, tmp_path):
    """A whole one, with three warm-up requests."""
    folder = tmp_path / "dex[1]" / "7"
    shutil.copytree(tiny_models.first / "1", folder)
    requests = warmup.requests_file(folder)
    requests.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(requests)) as writer:
        for _ in range(3):
            writer.write(b"request")
    return folder


def test_a_whole_version(version):
    found = saved_model.inspect(version)
    assert found["faults"] == []
    assert found["warm_up"] == 3
    assert found["variables"] > 5
    assert "encode_image" in found["signatures"]
    assert len(found["signatures"]) == 5


def _cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


DATA = "variables/variables.data-00000-of-00001"


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (lambda v: shutil.rmtree(v / "variables"), "variables/variables.index is missing"),
        (lambda v: (v / DATA).unlink(), "variables cannot be read"),
        (lambda v: _cut(v / DATA), "variables cannot be read"),
        (lambda v: _flip(v / DATA), "variables cannot be read"),
        (lambda v: _cut(v / "variables/variables.index"), "variables cannot be read"),
        (lambda v: (v / "saved_model.pb").unlink(), "saved_model.pb: No such file or directory"),
        (lambda v: _cut(v / "saved_model.pb"), "saved_model.pb is damaged"),
        (lambda v: (v / "saved_model.pb").write_bytes(b""), "holds no graph for serving"),
        (lambda v: shutil.rmtree(v / "assets"), "assets/words.txt is missing"),
        (lambda v: _flip(warmup.requests_file(v)), "tf_serving_warmup_requests: "),
    ],
)
def test_a_fault_is_named(version, breaks, told):
    breaks(version)
    faults = saved_model.inspect(version)["faults"]
    assert len(faults) == 1, faults
    assert told in faults[0]
    assert "\n" not in faults[0]


def test_a_model_of_something_else(tmp_path, test_module):
    test_module("serving/core_support.py").save_toy(tmp_path / "1")
    faults = saved_model.inspect(tmp_path / "1")["faults"]
    assert "signature serving_default must take image, caption and give probability" in faults
    assert "it has no signature encode_image" in faults


def test_faults_make_a_problem(project, loaded, look):
    loaded["model"] = {**loaded["model"], "faults": ["one", "two", "three", "four"]}
    found = look(pushed_model)["model"]
    assert found.status == "problem"
    assert found.found.endswith("one; two; three and 1 more faults")
    assert "rollback" in found.advice


def test_a_pushed_model_and_where_it_comes_from(project, loaded, look):
    found = look(pushed_model)
    assert [each.status for each in found.values()] == ["ok"] * 3
    assert found["provenance"].facts["run"] == "run-1"


def test_a_model_from_elsewhere(project, loaded, look):
    base = project / "serving_model" / "dexmatch"
    next(base.iterdir()).rename(base / "1795969179")
    found = look(pushed_model)["provenance"]
    assert found.status == "warning"
    assert "no run in" in found.found


def test_a_corrupt_database_hides_where_it_comes_from(project, loaded, look):
    (project / "runs" / "dexmatch" / "metadata.sqlite").write_bytes(b"x" * 5000)
    found = look(pushed_model)["provenance"]
    assert (found.status, found.advice) == ("warning", "see the workspace")


def test_no_warm_up_requests(project, loaded, look):
    loaded["model"] = {**loaded["model"], "warm_up": None}
    assert look(pushed_model)["model"].status == "warning"


def test_without_tensorflow_nothing_is_said_of_the_model(project, loaded, look):
    loaded.update(model=None, error="ImportError")
    assert look(pushed_model)["model"].status == "warning"


def test_a_damaged_history(project, loaded, look):
    (project / "serving_model" / "dexmatch" / "rollbacks.jsonl").write_text("nonsense\n")
    found = look(pushed_model)["versions"]
    assert (found.status, found.advice) == ("problem", "remove the line")


def test_the_files_beside_it(project, loaded, look):
    shutil.copy(SHIPPED / "batching.config", project / "serving_model")
    assert look(pushed_model)["server files"].facts["files"] == ["batching.config"]
    (project / "serving_model" / "batching.config").write_text("max_batch_size { value: 0 }")
    found = look(pushed_model)["batching.config"]
    assert found.status == "problem"
    assert "max_batch_size must be at least 1" in found.found


@pytest.mark.slow
def test_all_of_it_in_a_process_of_its_own(version):
    loaded = tensorflow_process.load(version)
    assert loaded.error is None
    assert loaded.model == saved_model.inspect(version)

"""The whole pipeline with its Beam jobs on a job service, and workers in processes of their own.

The service is Prism, Beam's own in Go, in the place of Flink's and Spark's: they speak the same job
API, and start workers in the same ways. `make test-portable` gets it.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from modules.preprocessing.captions import VOCABULARY
from results import evaluation
from results.data_validation import tfdv
from results.metadata import CACHED, NEW

pytestmark = pytest.mark.slow

PATIENCE_S = 300


@pytest.fixture(scope="module")
def prism(tmp_path_factory):
    """A job service's address, and its process."""
    program = os.environ.get("DEXMATCH_PRISM") or shutil.which("prism")
    if not program:
        pytest.skip("needs Beam's Prism: make test-portable")
    with socket.create_server(("localhost", 0)) as one, socket.create_server(("", 0)) as other:
        ports = [each.getsockname()[1] for each in (one, other)]
    log = tmp_path_factory.mktemp("prism") / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [program, f"-job_port={ports[0]}", f"-web_port={ports[1]}"],
            stdout=file,
            stderr=file,
            cwd=log.parent,
        )
    yield f"localhost:{ports[0]}", process
    process.terminate()
    process.wait()


def kill_worker(process):
    """Kills the next worker that a job service starts, once it has begun to work."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        for worker in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.Error):
                if any("tensorflow" in each.path for each in worker.memory_maps()):
                    time.sleep(1)
                    worker.send_signal(signal.SIGKILL)
                    return
        time.sleep(0.1)
    raise AssertionError("no worker came")


@pytest.fixture(scope="module")
def runs(prism, new_project, dataset, tmp_path_factory):
    """The same run with its jobs in this process, and on a job service that lost a worker."""
    settings = {"serving__validator": "none", "bulk__dataset": str(dataset)}
    folder = tmp_path_factory.mktemp("portable") / dataset.parent.name
    portable = new_project(folder / "portable", **settings)
    address, process = prism
    options = "--runner=flink", f"--beam-arg=--job_endpoint={address}"
    running = subprocess.Popen(
        portable.command(*options), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    for line in running.stderr:
        if "Transform" in line:
            break
    kill_worker(process)
    said = running.stderr.read()
    assert running.wait() == 1, said
    assert "Failed: " in said and "Traceback" not in said
    portable.run(*options)
    local = new_project(folder / "local", **settings)
    local.run()
    return local.latest(), portable.latest()


def test_a_run_goes_on_from_the_job_that_lost_its_worker(runs):
    states = {each.node: each.state for each in runs[1].executions}
    assert states["PairSampler"] == states["StatisticsGen"] == CACHED
    assert states["Transform"] == states["Evaluator"] == states["BulkInferrer"] == NEW
    assert runs[1].is_blessed


def of_both(runs, kind):
    return [Path(run.output(kind).uri) for run in runs]


def figures(message, path=""):
    """All that a message of protobuf's holds, each value by its path."""
    for field, value in message.ListFields():
        for index, each in enumerate(value if field.is_repeated else [value]):
            name = f"{path}.{field.name}[{index}]"
            if hasattr(each, "ListFields"):
                yield from figures(each, name)
            else:
                yield name, each


def test_statistics_are_the_same(runs):
    """But for what the order of a sum changes in its last digits."""
    for split in ("train", "val", "test"):
        local, portable = (
            {
                each.path.step[0]: dict(figures(each))
                for each in tfdv.load_stats_binary(
                    str(folder / f"Split-{split}" / "FeatureStats.pb")
                )
                .datasets[0]
                .features
            }
            for folder in of_both(runs, "ExampleStatistics")
        )
        assert portable.keys() == local.keys()
        for name in local:
            floats, others = zip(*map(parted, (local[name], portable[name])), strict=True)
            assert others[0] == others[1], (split, name)
            assert floats[1] == pytest.approx(floats[0], rel=1e-6), (split, name)


def parted(found):
    """The floats among figures, and all others."""
    floats = {name: value for name, value in found.items() if isinstance(value, float)}
    return floats, {name: value for name, value in found.items() if name not in floats}


def transformed_rows(folder, split):
    """Examples in an order of their own: neither Beam nor protobuf promises one."""
    files = [str(file) for file in (folder / f"Split-{split}").iterdir()]
    return sorted(
        tf.train.Example.FromString(record).SerializeToString(deterministic=True)
        for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
    )


def test_vocabularies_and_transformed_rows_are_the_same(runs):
    local, portable = (
        tft.TFTransformOutput(str(folder)) for folder in of_both(runs, "TransformGraph")
    )
    assert portable.vocabulary_by_name(VOCABULARY) == local.vocabulary_by_name(VOCABULARY) != []
    for split in ("train", "val"):
        rows = [
            transformed_rows(Path(run.execution("Transform").outputs["Examples"].uri), split)
            for run in runs
        ]
        assert rows[0] == rows[1] != []


def test_metrics_are_the_same(runs):
    local, portable = (evaluation.load(str(folder)) for folder in of_both(runs, "ModelEvaluation"))
    assert [each.name for each in local.slices] == [each.name for each in portable.slices]
    for one, other in zip(local.slices, portable.slices, strict=True):
        assert other.figures == pytest.approx(one.figures, abs=1e-6, nan_ok=True)
